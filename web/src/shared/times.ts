/** Which of two times of the api is the later one. */

/** Whether `time` is later than `than`. Their texts do not tell: a whole second has no fraction, and "51Z" is after "51.07Z". */
export function isLater(time: string, than: string): boolean {
  return Date.parse(time) > Date.parse(than)
}
