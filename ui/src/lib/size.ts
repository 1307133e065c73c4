const STEPS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"] as const;

/** So many bytes, as people say it. */
export function bytes(count: number): string {
  let step = 0;
  let value = count;
  // 999.95 would be written as 1,000.
  while (value >= 999.95 && step < STEPS.length - 1) {
    value /= 1_000;
    step += 1;
  }
  return new Intl.NumberFormat("en", {
    style: "unit",
    unit: STEPS[step] ?? "byte",
    unitDisplay: step === 0 ? "long" : "short",
    maximumFractionDigits: step === 0 || value >= 100 ? 0 : 1,
  }).format(value);
}
