import type { AccountId, Message, Show } from "../core/generated/api";
import type { IconName } from "../lib/icons";
import { t } from "../lib/text";
import { open, setPresence, showChat, showChatWith, titleOf } from "../state/actions";
import type { App } from "../state/app.svelte";
import { contactName, matches, sortedAccounts, sortedChats, sortedContacts } from "../state/people";

/** Something the quick switcher can go to or do. */
export type Choice =
  | { kind: "person"; key: string; account: AccountId; address: string; name: string; run: () => void }
  | { kind: "message"; key: string; message: Message; run: () => void }
  | { kind: "action"; key: string; icon: IconName; text: string; run: () => void };

const MOST_PEOPLE = 12;
/** Without a query, so that what else can be done is in sight. */
const FEW_PEOPLE = 6;
const shows: Show[] = ["available", "chat", "away", "xa", "dnd", "offline"];

/** Chats by last activity, then the other contacts. */
export function personChoices(app: App, query: string): Choice[] {
  const choices: Choice[] = [];
  const seen = new Set<string>();
  const most = query === "" ? FEW_PEOPLE : MOST_PEOPLE;
  for (const row of sortedChats(app.mirror.chats.values())) {
    if (choices.length >= most) return choices;
    const { chat, account, address } = row;
    const title = titleOf(app, row);
    if (!matches(query, title, address)) continue;
    seen.add(`${account} ${address}`);
    choices.push({
      kind: "person",
      key: `c ${chat}`,
      account,
      address,
      name: title,
      run: () => void showChat(app, chat),
    });
  }
  for (const contact of sortedContacts(app.mirror.contacts.values())) {
    if (choices.length >= most) return choices;
    const { account, address } = contact;
    const name = contactName(contact);
    if (seen.has(`${account} ${address}`) || !matches(query, name, address)) continue;
    const run = () => void showChatWith(app, account, address);
    choices.push({ kind: "person", key: `p ${account} ${address}`, account, address, name, run });
  }
  return choices;
}

/** What can be done from here. */
export function actionChoices(app: App, query: string): Choice[] {
  const { view, mirror } = app;
  const all: Choice[] = [
    action("add_contact", "addPerson", t("contacts.add"), () =>
      open(app, { kind: "add_contact", account: view.account, address: query.includes("@") ? query : "" }),
    ),
    action("contacts", "people", t("switcher.contacts"), () => {
      view.page = "chats";
      view.chat = null;
      view.tab = "contacts";
    }),
    action("settings", "settings", t("rail.settings"), () => (view.page = "settings")),
    action("add_account", "plus", t("rail.add_account"), () => (view.page = "sign_in")),
    action("all", "chats", t("rail.all"), () => {
      view.account = null;
      view.page = "chats";
    }),
  ];
  for (const account of sortedAccounts(mirror.accounts.values())) {
    if (mirror.accounts.size < 2) break;
    all.push(
      action(
        `account ${account.account}`,
        "person",
        t("switcher.account", { address: account.address }),
        () => {
          view.account = account.account;
          view.page = "chats";
        },
      ),
    );
  }
  for (const show of shows) {
    const text = t("switcher.presence", { presence: t(`presence.${show}`) });
    all.push(action(`presence ${show}`, "clock", text, () => setForAll(app, show)));
  }
  // Without a query only the first few, so that people stay in sight.
  const found = all.filter((choice) => choice.kind === "action" && matches(query, choice.text));
  return query === "" ? found.slice(0, 3) : found;
}

function action(key: string, icon: IconName, text: string, run: () => void): Choice {
  return { kind: "action", key: `a ${key}`, icon, text, run };
}

function setForAll(app: App, show: Show): void {
  for (const account of app.mirror.accounts.values()) {
    void setPresence(app, [account.account], show, account.status ?? "");
  }
}
