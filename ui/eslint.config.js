import js from "@eslint/js";
import svelte from "eslint-plugin-svelte";
import globals from "globals";
import ts from "typescript-eslint";

import svelteConfig from "./svelte.config.js";

// Text from the network becomes text nodes, never markup.
const markup = [
  {
    selector: "MemberExpression[property.name=/^(innerHTML|outerHTML|insertAdjacentHTML|srcdoc)$/]",
    message: "Text becomes text nodes: no markup from strings.",
  },
  {
    selector:
      "CallExpression[callee.object.name='document'][callee.property.name=/^(write|writeln)$/], CallExpression[callee.property.name='createContextualFragment']",
    message: "Text becomes text nodes: no markup from strings.",
  },
];

export default ts.config(
  { ignores: ["dist", "node_modules", "src/core/generated"] },
  js.configs.recommended,
  ...ts.configs.strict,
  ...svelte.configs["flat/recommended"],
  {
    languageOptions: { globals: { ...globals.browser, ...globals.node } },
    rules: {
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-console": "error",
      eqeqeq: "error",
      "no-restricted-syntax": ["error", ...markup],
      "no-restricted-imports": [
        "error",
        { patterns: [{ group: ["@tauri-apps/*"], message: "Only core/bridge.ts speaks to the shell." }] },
      ],
      "svelte/no-at-html-tags": "error",
      "svelte/no-at-debug-tags": "error",
      // Each such use is on purpose: dates are replaced whole, and maps that nothing draws from need no signals.
      "svelte/prefer-svelte-reactivity": "off",
      "@typescript-eslint/switch-exhaustiveness-check": "off",
    },
  },
  {
    files: ["**/*.svelte", "**/*.svelte.ts"],
    languageOptions: {
      parserOptions: { parser: ts.parser, extraFileExtensions: [".svelte"], svelteConfig },
    },
  },
  {
    files: ["src/core/bridge.ts"],
    rules: { "no-restricted-imports": "off" },
  },
  {
    // The parts in lib hold no state and know no core.
    files: ["src/lib/**"],
    rules: {
      "no-restricted-imports": [
        "error",
        {
          patterns: [
            { group: ["@tauri-apps/*"], message: "Only core/bridge.ts speaks to the shell." },
            {
              group: ["**/state/*", "**/core/bridge*", "**/core/fake*"],
              message: "lib holds no state and no bridge.",
            },
          ],
        },
      ],
    },
  },
  {
    files: ["shots/**", "*.config.*"],
    rules: { "no-console": "off" },
  },
);
