import { expect, test } from "vitest";

import { bytes } from "./size";

test("sizes are said in the unit that fits", () => {
  expect([0, 1, 999, 1_000, 1_500, 20_971_520, 104_857_600, 999_960, 4_294_967_296, 5e15].map(bytes)).toEqual(
    ["0 bytes", "1 byte", "999 bytes", "1 kB", "1.5 kB", "21 MB", "105 MB", "1 MB", "4.3 GB", "5,000 TB"],
  );
});
