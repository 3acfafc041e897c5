/** The handle of a task has 64 bits: two numbers. The addon takes them as two arguments. */
export interface Task {
  readonly low: number;
  readonly high: number;
}

/** Equal for equal handles. */
export function keyOf({ low, high }: Task): string {
  return `${high}:${low}`;
}
