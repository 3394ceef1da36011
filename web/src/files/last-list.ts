/** The address of the list that was shown last, with its filters: from a file's page people come back to it. */
export const lastList = { address: '#/files' }
