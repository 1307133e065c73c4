import type { Key } from "../lib/text";

/** A short choice out of Unicode's emoji, by its groups. */
export const emoji: readonly { key: Key; sign: string; list: readonly string[] }[] = [
  {
    key: "emoji.faces",
    sign: "🙂",
    list: split(
      "😀 😃 😄 😁 😆 😅 😂 🤣 🙂 🙃 😉 😊 😇 🥰 😍 😘 😋 😛 😜 🤪 🤗 🤭 🤫 🤔 🫡 😐 😶 😏 🙄 😬 😌 😔 😪 😴 😷 🤒 🤕 🤢 🥵 🥶 😵 🤯 🥳 😎 🤓 🧐 😕 🙁 😮 😲 😳 🥺 😢 😭 😱 😤 😡 😈 💀 👻 🤖",
    ),
  },
  {
    key: "emoji.people",
    sign: "👋",
    list: split(
      "👋 🤚 ✋ 👌 🤌 🤏 ✌️ 🤞 🤟 🤙 👈 👉 👆 👇 ☝️ 👍 👎 ✊ 👊 👏 🙌 🫶 🤝 🙏 💪 👀 🧠 🫂 👶 🧒 🧑 👵 👴 🤷 🤦 🙋 🙆 🙅 💁 🏃 💃 🕺 🧘",
    ),
  },
  {
    key: "emoji.nature",
    sign: "🌿",
    list: split(
      "🐶 🐱 🐭 🐰 🦊 🐻 🐼 🐯 🦁 🐮 🐷 🐸 🐵 🐔 🐧 🐦 🦆 🦉 🐝 🦋 🐢 🐬 🐳 🐙 🌸 🌹 🌻 🌷 🌿 🍀 🌳 🌵 🍂 🍄 🌍 🌙 ⭐ ☀️ ⛅ 🌧️ ❄️ 🌈 🔥 💧",
    ),
  },
  {
    key: "emoji.food",
    sign: "🍎",
    list: split(
      "🍎 🍐 🍊 🍋 🍌 🍉 🍇 🍓 🫐 🍒 🍑 🥝 🍅 🥑 🥕 🌽 🥔 🍞 🥐 🧀 🥚 🍳 🥞 🍕 🍔 🍟 🌮 🥗 🍝 🍜 🍣 🍦 🍩 🍪 🎂 🍰 🍫 🍿 ☕ 🍵 🍺 🍷 🥂",
    ),
  },
  {
    key: "emoji.things",
    sign: "🎉",
    list: split(
      "🎉 🎈 🎁 🏆 ⚽ 🏀 🎾 🚴 🏊 🎮 🎲 🎸 🎹 🎨 🎬 📷 📱 💻 ⌨️ 🔋 💡 🔦 📚 ✏️ 📌 📎 ✂️ 🔒 🔑 🔨 🧰 🚗 🚲 🚆 ✈️ 🚀 ⛵ 🏠 🏔️ 🏖️ ⏰ ⌛ 💰 ✉️ 📦",
    ),
  },
  {
    key: "emoji.signs",
    sign: "❤️",
    list: split(
      "❤️ 🧡 💛 💚 💙 💜 🖤 🤍 💔 💯 ✅ ❌ ❓ ❗ ⚠️ 🚫 ♻️ ➕ ➖ ✨ 💫 💥 💤 💬 🔔 🔕 🎵 🔴 🟠 🟡 🟢 🔵 🟣 ⚫ ⚪ 🏁 🏳️‍🌈",
    ),
  },
];

function split(list: string): readonly string[] {
  return list.split(" ");
}
