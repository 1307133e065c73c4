import en from "../../locales/en.json";

/** Every sentence the window can say. A key that is not in `locales/en.json` is a type error. */
export type Key = keyof typeof en;
/** Keys that have a `.one` and a `.other` form. */
export type CountedKey = Key extends infer K ? (K extends `${infer Stem}.other` ? Stem : never) : never;

export type Values = Record<string, string | number>;

const plural = new Intl.PluralRules("en");
const number = new Intl.NumberFormat("en");

// First-strong isolate and its end: what is filled in must not turn the sentence around it.
const ISOLATE = "\u2068";
const END = "\u2069";

/** The words for a key, with `{name}` filled in. */
export function t(key: Key, values?: Values): string {
  const text: string = en[key];
  if (!values) return text;
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    if (value === undefined) return whole;
    return typeof value === "number" ? number.format(value) : ISOLATE + value + END;
  });
}

/** The words for a counted thing; `{count}` is filled in. */
export function counted(stem: CountedKey, count: number, values?: Values): string {
  const form = plural.select(count) === "one" ? "one" : "other";
  return t(`${stem}.${form}` as Key, { ...values, count });
}
