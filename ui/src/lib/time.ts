import { t } from "./text";

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "short" });
const longDay = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const shortDate = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const yearDate = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const longYearDate = new Intl.DateTimeFormat(undefined, { dateStyle: "long" });
const dayAndTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const exact = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
  hourCycle: "h23",
});
const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

/** Whole days from `then` to `now` by the local calendar; negative for the future. */
export function daysBetween(then: Date, now: Date): number {
  const start = Date.UTC(then.getFullYear(), then.getMonth(), then.getDate());
  const end = Date.UTC(now.getFullYear(), now.getMonth(), now.getDate());
  return Math.round((end - start) / 86_400_000);
}

/** The hour and minute. */
export function timeOfDay(at: string): string {
  return clock.format(new Date(at));
}

/** As short as it can be told for a list: the time today, a weekday this week, else the date. */
export function briefTime(at: string, now: Date): string {
  const then = new Date(at);
  const days = daysBetween(then, now);
  if (days <= 0) return clock.format(then);
  if (days === 1) return t("time.yesterday");
  if (days < 7) return weekday.format(then);
  return then.getFullYear() === now.getFullYear() ? shortDate.format(then) : yearDate.format(then);
}

/** A moment within a sentence: the time today, else with its date. */
export function moment(at: string, now: Date): string {
  const then = new Date(at);
  return daysBetween(then, now) === 0 ? clock.format(then) : dayAndTime.format(then);
}

/** A time to the millisecond, for those who compare logs. */
export function exactTime(at: string): string {
  return exact.format(new Date(at));
}

/** The name of a day, for the line between two days. */
export function dayName(at: string, now: Date): string {
  const then = new Date(at);
  const days = daysBetween(then, now);
  if (days === 0) return t("time.today");
  if (days === 1) return t("time.yesterday");
  return then.getFullYear() === now.getFullYear() ? longDay.format(then) : longYearDate.format(then);
}

/** Date and time in full, for tooltips and screen readers. */
export function fullTime(at: string): string {
  return whole.format(new Date(at));
}

/** Date without time. */
export function dateOf(at: string): string {
  return yearDate.format(new Date(at));
}

/** The local calendar day, for telling two days apart. */
export function dayKey(at: string): string {
  const then = new Date(at);
  return `${then.getFullYear()}-${then.getMonth() + 1}-${then.getDate()}`;
}
