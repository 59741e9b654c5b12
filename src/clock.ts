/** Calls back once after so many milliseconds; gives the function that prevents it. Time for those to whom it is handed in. */
export function setTimer (callback: () => void, waitMs: number): () => void {
  const timer = setTimeout(callback, waitMs)
  return () => clearTimeout(timer)
}
