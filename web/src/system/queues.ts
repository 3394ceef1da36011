/** The queues of the workers, in words. */
export const QUEUES: Record<string, string> = {
  small: 'small files and deliveries of them',
  large: 'large files and deliveries of them',
  maintenance: 'checks and tests of targets',
}
