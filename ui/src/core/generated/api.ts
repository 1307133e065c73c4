// Made from the Rust types of waxwing-core by `./x bindings`; not to be edited.

export type AccountId = number;

export type ChatId = number;

export type MessageId = number;

export type FileId = number;

export type ConnectionState = "offline" | "connecting" | "online" | "failed";

export type TlsMode = "direct" | "starttls";

export type Show = "offline" | "dnd" | "xa" | "away" | "available" | "chat";

export type Subscription = "none" | "to" | "from" | "both";

export type Sharing = "as_account" | "on" | "off";

export type Notify = "text" | "name" | "off";

export type Notice = { account: AccountId, 
/**
 * The chat; none for a summary of several.
 */
chat: ChatId | null, 
/**
 * The chat's title.
 */
title: string | null, 
/**
 * What was written last, cut short; none if it shall not be shown, or cannot be.
 */
text: string | null, 
/**
 * The name of the file that was sent last, where there is no text.
 */
file: string | null, 
/**
 * So many messages are new.
 */
messages: number, 
/**
 * In so many chats.
 */
chats: number, };

export type Direction = "in" | "out";

export type Delivery = "waiting" | "sent" | "delivered" | "read" | "failed";

export type Encryption = "none" | "omemo1" | "omemo2";

export type EncryptionMode = "omemo" | "none";

export type Trust = "undecided" | "blind" | "verified" | "untrusted";

export type Lock = "encrypted" | "plain_chosen" | "plain_no_devices" | "checking" | "undecided" | "blocked";

export type ProxyKind = "socks5" | "http";

export type Proxy = { kind: ProxyKind, host: string, port: number, user: string | null, };

export type Renewed = "restored" | "copied";

export type Gap = { after: number, before: number, };

export type Certificate = { 
/**
 * SHA-256 in 64 lower-case hexadecimal digits.
 */
fingerprint: string, 
/**
 * The host names that it is made out for.
 */
names: Array<string>, issuer: string, not_before: string, not_after: string, 
/**
 * Issued by itself.
 */
self_signed: boolean, };

export type ConnectionFacts = { host: string, port: number, 
/**
 * The IP address and port that this led to; of the proxy, if there is one.
 */
peer: string, proxied: boolean, tls: TlsMode, 
/**
 * `TLSv1_2` or `TLSv1_3`.
 */
tls_version: string, cipher: string, certificate: Certificate | null, 
/**
 * The certificate is believed only because the person accepted it.
 */
pinned: boolean, 
/**
 * The SASL mechanism.
 */
mechanism: string, 
/**
 * What binds the login to the TLS channel.
 */
channel_binding: string | null, 
/**
 * XEP-0388.
 */
sasl2: boolean, 
/**
 * XEP-0386.
 */
bind2: boolean, 
/**
 * The session before went on (XEP-0198 §5).
 */
resumed: boolean, 
/**
 * This session can go on after a break.
 */
resumable: boolean, 
/**
 * Waits for the server's answer from the opening of the stream until messages could be sent.
 */
round_trips: number, 
/**
 * Milliseconds from the first attempt until messages could be sent.
 */
took_ms: number, 
/**
 * Milliseconds that the server took to answer a ping just now.
 */
ping_ms: number | null, since: string, resource: string, 
/**
 * The server's name and version, in its own words (XEP-0092).
 */
software: string | null, };

export type FeatureName = "direct_tls" | "stream_management" | "client_state" | "carbons" | "archive" | "personal_events" | "open_bundles" | "blocking" | "upload" | "rooms" | "push" | "sasl2" | "bind2" | "fast" | "channel_binding" | "avatar_conversion" | "bookmark_conversion" | "external_services";

export type ServerFeature = { feature: FeatureName, 
/**
 * Such as `XEP-0313`.
 */
specification: string, 
/**
 * Asked for by the compliance suites (XEP-0479), for instant messaging or at the core.
 */
expected: boolean, present: boolean, };

export type ConnectionReport = { account: AccountId, 
/**
 * None while there is no connection.
 */
connection: ConnectionFacts | null, 
/**
 * How often the connection was lost since the program was started.
 */
lost: number, 
/**
 * How many stanzas broke a limit and were thrown away since the program was started.
 */
swallowed: number, 
/**
 * What the server can do, and what it lacks (XEP-0479); empty while there is no connection.
 */
features: Array<ServerFeature>, };

export type Way = "in" | "out";

export type ConsoleEntry = { 
/**
 * Rising.
 */
number: number, at: string, way: Way, xml: string, };

export type Account = { account: AccountId, address: string, enabled: boolean, state: ConnectionState, 
/**
 * Why the last attempt failed; kept while trying again.
 */
error: Fault | null, 
/**
 * The presence that was asked for; what others see while `state` is online.
 */
show: Show, status: string | null, 
/**
 * Index of the account's colour among those the window offers, 0 to 7.
 */
color: number, 
/**
 * Unread messages in all chats of the account.
 */
unread: number, 
/**
 * Explicitly set host; none means that DNS is asked.
 */
host: string | null, port: number | null, tls: TlsMode | null, proxy: Proxy | null, 
/**
 * The certificate that the last attempt refused, for the person to accept; there with a `certificate_…` error.
 */
refused_certificate: Certificate | null, 
/**
 * The SHA-256 of the certificate that the person accepted, in 64 hexadecimal digits.
 */
accepted_certificate: string | null, 
/**
 * Whether the account has certificate authorities of its own.
 */
own_authorities: boolean, 
/**
 * Whether others learn that their messages reached this device (XEP-0184).
 */
send_receipts: boolean, 
/**
 * Whether contacts learn that their messages were read (XEP-0333).
 */
send_markers: boolean, 
/**
 * What is told of new messages while the person does not look.
 */
notify: Notify, 
/**
 * Whether the person allowed the password itself to be sent to this server, inside TLS.
 */
plain_allowed: boolean, 
/**
 * Why this account's device for encryption began anew, until the person has seen it.
 */
renewed: Renewed | null, 
/**
 * What the server's archive holds and has not been read yet, oldest first.
 */
gaps: Array<Gap>, rev: number, };

export type ArchiveDefault = "always" | "never" | "roster";

export type ArchivePreferences = { 
/**
 * What goes for everybody who is named in neither list.
 */
default: ArchiveDefault, 
/**
 * With these, all is kept.
 */
always: string[], 
/**
 * With these, nothing is kept.
 */
never: string[], };

export type Contact = { account: AccountId, address: string, name: string | null, subscription: Subscription, 
/**
 * We asked to see their presence and wait for the answer (RFC 6121 §2.1.2.2).
 */
asked: boolean, groups: Array<string>, 
/**
 * Whether they learn that their messages reached this device.
 */
send_receipts: Sharing, 
/**
 * Whether they learn that their messages were read.
 */
send_markers: Sharing, presence: Show, status: string | null, rev: number, };

export type ContactRequest = { account: AccountId, address: string, received_at: string, };

export type Chat = { chat: ChatId, account: AccountId, address: string, 
/**
 * The contact's name, else the address.
 */
title: string, unread: number, encryption: EncryptionMode, lock: Lock, 
/**
 * The next message, if it is encrypted, goes in the older generation, which protects nothing but its text.
 */
text_only: boolean, 
/**
 * A verified device of theirs has taken back the trust in another one, and the person has not decided about that yet.
 */
trust_taken_back: boolean, 
/**
 * The newest message that the person has seen; the unread line stands behind it.
 */
read_up_to: MessageId | null, last: Message | null, rev: number, };

export type Message = { message: MessageId, chat: ChatId, account: AccountId, from: string, direction: Direction, 
/**
 * None if it could not be decrypted, or tells of files only.
 */
body: string | null, 
/**
 * Encrypted files that it tells of.
 */
files: Array<File>, sent_at: string, 
/**
 * The order within the chat, which is that of arrival: microseconds since 1970, never the same twice.
 */
position: number, delivery: Delivery, encryption: Encryption, 
/**
 * Trust in the sending device's key when the message was decrypted.
 */
trust: Trust | null, 
/**
 * Plain text that arrived in an encrypted chat.
 */
unprotected: boolean, undecryptable: Undecryptable | null, 
/**
 * Why it failed.
 */
error: Fault | null, 
/**
 * XEP-0359 §4.
 */
origin_id: string | null, 
/**
 * XEP-0359 §3, given by our own archive.
 */
archive_id: string | null, rev: number, };

export type FileState = "offered" | "fetching" | "ready" | "failed";

export type FileFailure = "not_encrypted" | "gone" | "refused" | "server_failed" | "unreachable" | "certificate" | "proxy_failed" | "elsewhere" | "insecure" | "too_large" | "truncated" | "forged" | "disk_full" | "not_stored" | "lost";

export type Picture = { width: number, height: number, };

export type File = { file: FileId, 
/**
 * Harmless on every system.
 */
name: string, 
/**
 * As its sender says.
 */
media_type: string | null, 
/**
 * In bytes: as its sender or the server says, and once it is here as it is.
 */
size: number | null, state: FileState, 
/**
 * So many bytes have come, while it is being fetched.
 */
received: number | null, failure: FileFailure | null, 
/**
 * Whom fetching it asks.
 */
host: string | null, 
/**
 * It is here, and the window can show it.
 */
picture: Picture | null, 
/**
 * Opening it may run something.
 */
program: boolean, };

export type UndecryptableReason = "before_this_device" | "not_for_this_device" | "no_session" | "key_gone" | "key_reused" | "too_far_ahead" | "too_late" | "written_here" | "identity_changed" | "too_many_devices" | "malformed" | "wrong_place" | "too_large" | "unsupported";

export type Undecryptable = { 
/**
 * The sending device's id.
 */
device: number, 
/**
 * A stable code.
 */
reason: UndecryptableReason, 
/**
 * What it is encrypted with, as far as anybody says; there only if the reason is `unsupported`.
 */
method: string | null, 
/**
 * How many messages this stands for: those from before this device follow each other as one.
 */
count: number, 
/**
 * The session that it broke with has been replaced: what is sent from now on can be read.
 */
repaired: boolean, };

export type DeviceFailure = { reason: UndecryptableReason, 
/**
 * When it came.
 */
at: string, };

export type OtherKey = { 
/**
 * 64 lower-case hexadecimal digits.
 */
fingerprint: string, at: string, };

export type Reach = "ready" | "untried" | "no_keys" | "undecided" | "untrusted" | "inactive" | "unlisted" | "this_device";

export type BundleFault = "missing" | "forbidden" | "unreachable" | "malformed" | "no_one_time_keys" | "identity_changed" | "too_many_devices";

export type Device = { device: number, 
/**
 * 64 lower-case hexadecimal digits, or none while the device's key is not known yet.
 */
fingerprint: string | null, trust: Trust, 
/**
 * Another device that is verified said how far its key is trusted (XEP-0450), and not the person here.
 */
trust_told: boolean, 
/**
 * The device of the same person that took the trust in its key back, until the person here has decided about that.
 */
taken_back_by: number | null, protocols: Array<Encryption>, 
/**
 * On the newest device list.
 */
active: boolean, 
/**
 * This very installation.
 */
own: boolean, label: string | null, 
/**
 * When it was first heard of; none if that was long ago.
 */
first_seen: string | null, 
/**
 * When it last sent something that could be read.
 */
last_seen: string | null, 
/**
 * The last of its messages that could not be read.
 */
last_failure: DeviceFailure | null, 
/**
 * When a session with it that broke was last replaced.
 */
last_repaired: string | null, 
/**
 * Whether the next message that is encrypted reaches it.
 */
reach: Reach, 
/**
 * Why its keys could not be had or used when they were last asked for; none if they could, or need not be. Where it is
 * reached all the same, a session was to be replaced, and the one that there was goes on.
 */
bundle_fault: BundleFault | null, 
/**
 * Another key than the one it is known by that was shown last in its name.
 */
other_key: OtherKey | null, };

export type OwnCode = { 
/**
 * `xmpp:ADDRESS?omemo-sid-DEVICE=FINGERPRINT;…`, with this device and those of ours that are verified.
 */
link: string, 
/**
 * The same as a QR code, row by row: `1` for each dark square.
 */
rows: Array<string>, };

export type KeyStanding = "verified" | "known" | "differs" | "unseen" | "this_device";

export type LinkedKey = { device: number, 
/**
 * 64 lower-case hexadecimal digits.
 */
fingerprint: string, standing: KeyStanding, };

export type KeyLinkReading = { address: string, 
/**
 * They are keys of our own account.
 */
ours: boolean, keys: Array<LinkedKey>, };

export type NextMessage = "encrypted" | "plain" | "asks" | "undecided" | "unknown" | "forbidden" | "server_not_found" | "no_devices" | "no_trusted_devices";

export type ListFault = "forbidden" | "server_not_found" | "unreachable";

export type ListReport = { 
/**
 * Of our own account.
 */
ours: boolean, protocol: Encryption, 
/**
 * None if it never was.
 */
read_at: string | null, 
/**
 * It could not be read in this session.
 */
failed: boolean, 
/**
 * Why it could not be read when it was asked for last.
 */
fault: ListFault | null, };

export type Published = { protocol: Encryption, 
/**
 * None if it never took them.
 */
at: string | null, 
/**
 * The server would not make them readable by everybody: who is no contact may not be able to encrypt to this device.
 */
closed: boolean, };

export type DeviceReport = { 
/**
 * Of our own account.
 */
ours: boolean, device: Device, 
/**
 * The generation in which it is written to; none if it is not.
 */
protocol: Encryption | null, 
/**
 * When keys that could not be had are asked for again.
 */
again_at: string | null, };

export type EncryptionReport = { chat: ChatId, 
/**
 * None of what stands here was asked for anew if it is false: it is what was known last.
 */
online: boolean, next: NextMessage, 
/**
 * When device lists were read, of both sides and in both generations.
 */
lists: Array<ListReport>, 
/**
 * When the server last took this device's own keys, in both generations.
 */
published: Array<Published>, 
/**
 * Those of the other side first.
 */
devices: Array<DeviceReport>, };

export type Code = "invalid_params" | "invalid_request" | "unknown_method" | "not_found" | "invalid_address" | "account_exists" | "empty_message" | "too_large" | "not_online" | "no_key_link" | "server_not_found" | "unreachable" | "timeout" | "certificate_unknown_issuer" | "certificate_wrong_name" | "certificate_expired" | "certificate_invalid" | "certificate_changed" | "proxy_failed" | "proxy_refused" | "tls_failed" | "tls_unavailable" | "wrong_password" | "account_disabled" | "login_weakened" | "plain_only" | "login_unsupported" | "server_untrustworthy" | "conflict" | "policy_violation" | "server_shutdown" | "server_busy" | "stream_failed" | "disconnected" | "rejected" | "not_supported" | "no_devices" | "no_trusted_devices" | "devices_forbidden" | "not_agreed" | "profile_in_use" | "passphrase_needed" | "wrong_passphrase" | "keychain_unavailable" | "key_missing" | "database_damaged" | "database_newer" | "disk_full" | "storage" | "internal";

export type Fault = { code: Code, text: string, };

export type Event = { "type": "ready", version: string, } | { "type": "account_changed", account: Account, } | { "type": "account_removed", account: AccountId, } | { "type": "contact_changed", contact: Contact, } | { "type": "contact_removed", account: AccountId, address: string, } | { "type": "request_received", account: AccountId, address: string, received_at: string, } | { "type": "request_answered", account: AccountId, address: string, } | { "type": "chat_changed", chat: Chat, } | { "type": "message_changed", message: Message, } | { "type": "caught_up", account: AccountId, } | { "type": "notify", notice: Notice, } | { "type": "notify_withdrawn", account: AccountId, chat: ChatId | null, } | { "type": "chat_wanted", chat: ChatId, } | { "type": "console_seen", account: AccountId, entries: Array<ConsoleEntry>, } | { "type": "resync", };

export type Opening = { "state": "ready" } | { "state": "passphrase_needed", first: boolean, } | { "state": "failed", fault: Fault, };

export type Nothing = Record<symbol, never>;

export type AddAccount = { address: string, password: string, host?: string, port?: number, tls?: TlsMode, 
/**
 * Nothing of the account goes past it, from the first attempt on.
 */
proxy?: SetProxy, };

export type AddedAccount = { account: AccountId, };

export type OfAccount = { account: AccountId, };

export type MaybeOfAccount = { account?: AccountId, };

export type SetAccountEnabled = { account: AccountId, enabled: boolean, };

export type SetPassword = { account: AccountId, password: string, };

export type SetPresence = { account: AccountId, 
/**
 * Any but `offline`: to go offline, disable the account.
 */
show: Show, status?: string, };

export type SetProxy = { kind: ProxyKind, host: string, port: number, user?: string, password?: string, };

export type SetConnection = { account: AccountId, host?: string, port?: number, tls?: TlsMode, proxy?: SetProxy, };

export type AcceptCertificate = { account: AccountId, 
/**
 * The one that was shown as refused: 64 hexadecimal digits.
 */
fingerprint: string, };

export type SetAuthorities = { account: AccountId, 
/**
 * Certificates of authorities in PEM; none takes those away that there are.
 */
pem?: string, };

export type SetNotify = { account: AccountId, notify: Notify, };

export type SetLooking = { 
/**
 * Whether they look at the window.
 */
looking: boolean, 
/**
 * The chat that lies open there.
 */
chat?: ChatId, };

export type SetShared = { account: AccountId, 
/**
 * Whether others learn of it.
 */
send: boolean, };

export type SetContactShared = { account: AccountId, address: string, send: Sharing, };

export type SetActive = { 
/**
 * Whether the person is looking at the window.
 */
active: boolean, };

export type SetArchivePreferences = { account: AccountId, default: ArchiveDefault, 
/**
 * At most 1,000.
 */
always: string[], 
/**
 * At most 1,000.
 */
never: string[], };

export type SetConsole = { account: AccountId, on: boolean, };

export type OfContact = { account: AccountId, address: string, };

export type AddContact = { account: AccountId, address: string, name?: string, 
/**
 * Left as they are if not given.
 */
groups?: Array<string>, };

export type AnswerRequest = { account: AccountId, address: string, accept: boolean, };

export type OpenedChat = { chat: ChatId, };

export type OfChat = { chat: ChatId, };

export type OfMessage = { message: MessageId, };

export type OfFile = { file: FileId, };

export type FetchFile = { file: FileId, 
/**
 * The host that the person agreed to ask.
 */
host?: string, 
/**
 * So many bytes the person agreed to take.
 */
size?: number, };

export type SavedFile = { path: string, };

export type GrantedPicture = { 
/**
 * What the window loads the picture by.
 */
word: string, };

export type SetEncryption = { chat: ChatId, mode: EncryptionMode, };

export type ListMessages = { chat: ChatId, 
/**
 * Only messages that stand before this one.
 */
before?: MessageId, 
/**
 * At most this many, 1 to 1,000; 50 if not given.
 */
limit?: number, };

export type SendText = { chat: ChatId, body: string, };

export type SetTrust = { account: AccountId, address: string, 
/**
 * 64 hexadecimal digits, white space ignored.
 */
fingerprint: string, trust: Trust, };

export type OfDevice = { account: AccountId, address: string, 
/**
 * 1 to 2^31 - 1.
 */
device: number, };

export type OfOwnDevice = { account: AccountId, 
/**
 * 1 to 2^31 - 1.
 */
device: number, };

export type OfKeyLink = { account: AccountId, 
/**
 * `xmpp:ADDRESS?omemo-sid-DEVICE=FINGERPRINT;…`.
 */
link: string, };

export type ReadCode = { 
/**
 * 1 to 2,048.
 */
width: number, 
/**
 * 1 to 2,048.
 */
height: number, 
/**
 * The brightness of each pixel, row by row, in base64.
 */
pixels: string, };

export type Search = { query: string, 
/**
 * At most this many, 1 to 1,000; 50 if not given.
 */
limit?: number, account?: AccountId, };

export interface Requests {
  /** Adds an account and signs in to it. */
  add_account: { params: AddAccount; result: AddedAccount };
  /** All accounts, in the order in which they were added. */
  list_accounts: { params: Nothing; result: Array<Account> };
  /** Connects or disconnects an account. */
  set_account_enabled: { params: SetAccountEnabled; result: Nothing };
  /** Replaces the stored password and signs in again. */
  set_password: { params: SetPassword; result: Nothing };
  /** Sets host, port, kind of TLS and proxy, and signs in again. */
  set_connection: { params: SetConnection; result: Nothing };
  /** Accepts the certificate that was refused, for this account only, and signs in again. */
  accept_certificate: { params: AcceptCertificate; result: Nothing };
  /** Takes back the acceptance of a certificate, and signs in again. */
  forget_certificate: { params: OfAccount; result: Nothing };
  /** Sets the certificate authorities that this account trusts besides the system's, and signs in again. */
  set_authorities: { params: SetAuthorities; result: Nothing };
  /** Allows what the last attempt refused, a weaker login than before or the password itself, and signs in again. */
  allow_weaker_login: { params: OfAccount; result: Nothing };
  /** Takes back that the password itself may be sent, and signs in again. */
  forbid_plain_login: { params: OfAccount; result: Nothing };
  /** How the account is connected and what its server can do. */
  connection_report: { params: OfAccount; result: ConnectionReport };
  /** Begins or ends showing what goes over the account's wire; ending it forgets what was shown. */
  set_console: { params: SetConsole; result: Nothing };
  /** What went over the wire since the console was switched on, the oldest first, at most 1,000 entries. */
  list_console: { params: OfAccount; result: Array<ConsoleEntry> };
  /** What the server keeps of the account's messages (XEP-0441). Errors: `not_supported` if it lets nobody choose. */
  archive_preferences: { params: OfAccount; result: ArchivePreferences };
  /** Sets what the server keeps of the account's messages; gives what it then says. Errors: as above. */
  set_archive_preferences: { params: SetArchivePreferences; result: ArchivePreferences };
  /** Tells whether the person is looking, for servers that can save their device's energy (XEP-0352). */
  set_active: { params: SetActive; result: Nothing };
  /** Tells where the person looks, so that what they see there is not told them once more. Nowhere, before it is told. */
  set_looking: { params: SetLooking; result: Nothing };
  /** Sets what is told of an account's new messages. Nothing is told while its presence is `dnd`. */
  set_notify: { params: SetNotify; result: Nothing };
  /** Has the window show a chat, with the event `chat_wanted`. */
  show_chat: { params: OfChat; result: Nothing };
  /** The machine woke up or the network changed: looks after all connections at once. */
  check_connections: { params: Nothing; result: Nothing };
  /** Removes an account with all its chats and keys from this device. */
  remove_account: { params: OfAccount; result: Nothing };
  /** Sets what the account's contacts see of us. */
  set_presence: { params: SetPresence; result: Nothing };
  /** Sets whether others learn that their messages reached this device (XEP-0184). */
  set_receipts: { params: SetShared; result: Nothing };
  /** Sets whether contacts learn that their messages were read (XEP-0333). What is read while it is off they never learn. */
  set_markers: { params: SetShared; result: Nothing };
  /** Sets for one contact whether it learns that its messages reached this device. */
  set_contact_receipts: { params: SetContactShared; result: Nothing };
  /** Sets for one contact whether it learns that its messages were read. */
  set_contact_markers: { params: SetContactShared; result: Nothing };
  /** The roster of an account with live presence. */
  list_contacts: { params: OfAccount; result: Array<Contact> };
  /** Adds a contact, or changes its name and groups, and asks to see its presence. */
  add_contact: { params: AddContact; result: Nothing };
  /** Removes a contact and both subscriptions. */
  remove_contact: { params: OfContact; result: Nothing };
  /** Those who ask to see our presence. */
  list_requests: { params: MaybeOfAccount; result: Array<ContactRequest> };
  /** Answers somebody who asks to see our presence. */
  answer_request: { params: AnswerRequest; result: Nothing };
  /** The chat with an address, made if there is none. */
  open_chat: { params: OfContact; result: OpenedChat };
  /** Chats, the one with the newest message first. */
  list_chats: { params: MaybeOfAccount; result: Array<Chat> };
  /** Everything in the chat has been read. Our other devices hear of it, and the other side if it may. */
  mark_read: { params: OfChat; result: Nothing };
  /** Locks or unlocks the encryption of a chat. */
  set_encryption: { params: SetEncryption; result: Nothing };
  /** A page of messages, oldest first: the newest ones, or those before a message. */
  list_messages: { params: ListMessages; result: Array<Message> };
  /** Writes a message; it goes out as soon as the account is online. */
  send_text: { params: SendText; result: Message };
  /** Sends a failed message again. */
  retry_message: { params: OfMessage; result: Message };
  /** Fetches an encrypted file and checks it; its message tells how that goes. Errors: `not_agreed` if the person has to agree first: to the host, of a stranger or where a server sends us on to another one; or to the size. `too_large`, `not_supported`. */
  fetch_file: { params: FetchFile; result: Nothing };
  /** Ends the fetching of a file. */
  cancel_file: { params: OfFile; result: Nothing };
  /** Saves a file that is here among the person's downloads, under a name that nobody has. */
  save_file: { params: OfFile; result: SavedFile };
  /** Opens a file that is here for another program, in a folder that is removed when Waxwing ends. */
  unseal_file: { params: OfFile; result: SavedFile };
  /** Allows the window to load a picture that is here. */
  show_picture: { params: OfFile; result: GrantedPicture };
  /** The devices of a contact, or of ourselves. */
  list_devices: { params: OfContact; result: Array<Device> };
  /** Sets the trust in one key. */
  set_trust: { params: SetTrust; result: Nothing };
  /** Resets the encryption with one device: it gets a new session, and history, trust and its known key stay. */
  reset_session: { params: OfDevice; result: Nothing };
  /** The person has seen that an account's device for encryption began anew. */
  renewal_seen: { params: OfAccount; result: Nothing };
  /** Takes another device of ours off our own lists, so that nothing is encrypted to it any more. Errors: `not_online`, */
  /** `rejected`. */
  remove_device: { params: OfOwnDevice; result: Nothing };
  /** The link and the code by which others verify this device. Errors: `not_online` before it was online first. */
  own_code: { params: OfAccount; result: OwnCode };
  /** What the QR codes in a picture say; it is looked at on this device. */
  read_code: { params: ReadCode; result: Array<string> };
  /** What a link says of somebody's keys; nothing changes by it. Errors: `no_key_link`. */
  read_key_link: { params: OfKeyLink; result: KeyLinkReading };
  /** Verifies the keys that a link names, also those not seen yet; a known key that differs is not trusted any more. */
  accept_key_link: { params: OfKeyLink; result: Nothing };
  /** How the encryption of a chat stands, device by device, and what becomes of its next message. */
  encryption_report: { params: OfChat; result: EncryptionReport };
  /** Asks for the devices and keys of both sides of a chat again. Errors: `not_online`. */
  read_devices_again: { params: OfChat; result: Nothing };
  /** Publishes this device's keys again. Errors: `not_online`. */
  republish_keys: { params: OfAccount; result: Nothing };
  /** Messages that hold all words of the query, newest first. */
  search: { params: Search; result: Array<Message> };
}
