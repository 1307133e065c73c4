//! Encrypted files: nothing is fetched unasked, nothing is believed unchecked, nothing lies on disk in the open.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use waxwing_tests::web::{Answer, IV, KEY, Web, head, ok, seal, unhex};
use waxwing_tests::{Authority, Peer, Person, Profile, Prosody, Tls, items};

const ALICE: &str = "alice@waxwing.test";
const BOB: &str = "bob@waxwing.test";
/// Something that is easily found where it should not be.
const SECRET: &[u8] = b"SECRET-WORDS-THAT-NOBODY-ELSE-SHALL-SEE ";

/// Alice uses Waxwing, Bob slixmpp, and files lie with a web server.
struct Scene {
    server: Prosody,
    web: Web,
    authority: Authority,
    alice: Person,
    bob: Peer,
    folder: TempDir,
}

async fn scene(friends: bool) -> Scene {
    let server = if friends {
        Prosody::start_with_friends(&[ALICE, BOB]).await
    } else {
        Prosody::start(&[ALICE, BOB]).await
    };
    let authority = Authority::new("An authority for files");
    let web = Web::start(&authority).await;
    let folder = tempfile::tempdir().expect("a folder");
    let both = folder.path().join("authorities.pem");
    let pem = fs::read_to_string(server.ca_file()).expect("the server's authority");
    fs::write(&both, format!("{pem}\n{}", authority.pem())).expect("written");
    let mut profile = Profile::with_ca(Some(both));
    profile.save_into(folder.path().join("downloads"));
    let bob = Peer::sign_in(&server, BOB).await;
    let alice = Person::sign_in_with(profile, ALICE, server.direct_tls_port, Tls::Direct).await;
    Scene {
        server,
        web,
        authority,
        alice,
        bob,
        folder,
    }
}

fn plain(length: usize) -> Vec<u8> {
    SECRET.iter().copied().cycle().take(length).collect()
}

/// The name that makes a message's file unmistakable.
fn is_file(event: &Value, name: &str) -> bool {
    event["type"] == "message_changed" && event["message"]["files"][0]["name"] == name
}

impl Scene {
    /// Bob sends a link, and Alice sees the file.
    async fn bob_links(&mut self, path: &str, name: &str) -> Value {
        let link = self.web.link(path);
        self.bob.send(ALICE, &link, "omemo1").await;
        self.seen(name).await
    }

    /// Bob sends content in an envelope of version 2.
    async fn bob_shares(&mut self, content: &str, name: &str) -> Value {
        let params = json!({ "to": ALICE, "content": content });
        self.bob.ask("send_content", params).await;
        self.seen(name).await
    }

    async fn seen(&mut self, name: &str) -> Value {
        let what = format!("the file {name}");
        self.alice.event(&what, |event| is_file(event, name)).await["message"].take()
    }

    /// How a file stands once it is neither offered nor under way.
    async fn settled(&mut self, file: &Value) -> Value {
        let id = file["file"].clone();
        let settled = |event: &Value| {
            let file = &event["message"]["files"][0];
            event["type"] == "message_changed"
                && file["file"] == id
                && (file["state"] == "ready" || file["state"] == "failed")
        };
        let mut event = self.alice.event("the file is here or has failed", settled).await;
        event["message"]["files"][0].take()
    }

    /// Fetches a file. Gives how it stands then.
    async fn fetch(&mut self, file: &Value) -> Value {
        self.alice.forget_events();
        self.alice
            .get("fetch_file", json!({ "file": file["file"] }))
            .await;
        self.settled(file).await
    }

    async fn save(&mut self, file: &Value) -> PathBuf {
        let saved = self.alice.get("save_file", json!({ "file": file["file"] })).await;
        PathBuf::from(saved["path"].as_str().expect("a path"))
    }

    /// What lies in the folder of fetched files.
    fn kept(&self) -> Vec<Vec<u8>> {
        let folder = self.alice.profile.directory().join("files");
        let files = fs::read_dir(folder).into_iter().flatten().flatten();
        files.filter_map(|file| fs::read(file.path()).ok()).collect()
    }
}

/// Whether these bytes stand in any file below a folder.
fn stands_in(folder: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(folder).into_iter().flatten().flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return stands_in(&path, bytes);
        }
        let content = fs::read(path).unwrap_or_default();
        content.windows(bytes.len()).any(|window| window == bytes)
    })
}

#[tokio::test]
async fn a_linked_file_is_shown_fetched_checked_saved_and_kept_encrypted() {
    let mut scene = scene(true).await;
    let (file, sealed) = (plain(300_000), seal(&plain(300_000)));
    scene.web.put_file("/a/tr%C3%A8s%20cool.txt", &sealed);
    let message = scene.bob_links("/a/tr%C3%A8s%20cool.txt", "très cool.txt").await;
    let shown = message["files"][0].clone();
    assert_eq!(
        (&message["body"], &message["encryption"]),
        (&Value::Null, &json!("omemo1"))
    );
    assert_eq!(
        (&shown["state"], &shown["size"]),
        (&json!("offered"), &Value::Null)
    );
    assert_eq!(shown["host"], scene.web.host());
    let chats = scene.alice.get("list_chats", json!({})).await;
    let last = &items(&chats)[0]["last"];
    assert!(
        !last.to_string().contains(KEY) && last["files"][0]["name"] == "très cool.txt",
        "{last}"
    );
    for (query, count) in [("cool", 1), ("aesgcm", 0), ("localhost", 0), (KEY, 0)] {
        let found = scene.alice.get("search", json!({ "query": query })).await;
        assert_eq!(items(&found).len(), count, "{query}");
    }
    let early = scene
        .alice
        .call("save_file", json!({ "file": shown["file"] }))
        .await;
    assert_eq!(early.expect_err("it is not here").code, "not_found");
    assert!(scene.web.heads().is_empty(), "it was fetched unasked");

    let ready = scene.fetch(&shown).await;
    assert_eq!(
        (&ready["state"], &ready["size"]),
        (&json!("ready"), &json!(300_000))
    );
    let heads = scene.web.heads();
    let [asked] = heads.as_slice() else {
        panic!("{heads:?}")
    };
    let mut lines: Vec<&str> = asked.trim_end().lines().collect();
    lines.sort_unstable();
    let host = format!("host: {}", scene.web.host());
    let expected = [
        "GET /a/tr%C3%A8s%20cool.txt HTTP/1.1",
        "accept-encoding: identity",
        &host,
    ];
    assert_eq!(lines, expected, "it tells more than it must");

    let saved = scene.save(&shown).await;
    assert_eq!(saved, scene.folder.path().join("downloads/très cool.txt"));
    assert_eq!(fs::read(&saved).expect("saved"), file);
    assert_eq!(
        scene.save(&shown).await,
        scene.folder.path().join("downloads/très cool (2).txt")
    );
    let again = scene
        .alice
        .call("fetch_file", json!({ "file": shown["file"] }))
        .await;
    assert_eq!(again.expect_err("it is here").code, "invalid_params");

    assert_eq!(scene.kept(), [sealed]);
    let profile = scene.alice.profile.directory();
    assert!(!stands_in(&profile, SECRET), "it lies on disk in the open");
    let opened = scene
        .alice
        .get("unseal_file", json!({ "file": shown["file"] }))
        .await;
    let opened = PathBuf::from(opened["path"].as_str().expect("a path"));
    assert!(opened.starts_with(&profile) && opened.ends_with("très cool.txt"));
    assert_eq!(fs::read(&opened).expect("opened"), file);
    scene.alice.restart().await;
    assert!(
        !opened.exists() && !stands_in(&profile, SECRET),
        "what was opened stays behind"
    );
    assert_eq!(
        scene.save(&shown).await,
        scene.folder.path().join("downloads/très cool (3).txt")
    );

    let log = fs::read_to_string(scene.alice.profile.log_file()).expect("the log");
    assert!(
        !log.contains(KEY) && !log.contains("cool"),
        "the log tells of the file"
    );
    assert!(!scene.server.has_stored(KEY), "the server could read the key");
    let parts = fs::read_dir(scene.folder.path().join("downloads"))
        .expect("the folder")
        .count();
    assert_eq!(parts, 3, "something half saved is left");
}

/// A `<file-sharing/>` with one encrypted source.
fn sharing(web: &Web, path: &str, about: &str) -> String {
    let (key, iv) = (STANDARD.encode(unhex(KEY)), STANDARD.encode(unhex(IV)));
    let url = web.url(path);
    format!(
        "<file-sharing xmlns='urn:xmpp:sfs:0'><file xmlns='urn:xmpp:file:metadata:0'>{about}</file><sources>\
         <encrypted xmlns='urn:xmpp:esfs:0' cipher='urn:xmpp:ciphers:aes-256-gcm-nopadding:0'><key>{key}</key>\
         <iv>{iv}</iv><sources xmlns='urn:xmpp:sfs:0'>\
         <url-data xmlns='http://jabber.org/protocol/url-data' target='{url}'/></sources></encrypted></sources>\
         </file-sharing>"
    )
}

fn sha256(file: &[u8]) -> String {
    let digest = STANDARD.encode(Sha256::digest(file));
    format!("<hash xmlns='urn:xmpp:hashes:2' algo='sha-256'>{digest}</hash>")
}

#[tokio::test]
async fn a_file_shared_in_version_2_is_held_to_what_is_told_of_it() {
    let mut scene = scene(true).await;
    // A picture of one pixel, and something behind it.
    let png = [
        b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x28\0\0\0\x1e\x08\x06\0\0\0".as_slice(),
        SECRET,
    ]
    .concat();
    scene.web.put_file("/p", &seal(&png));
    let about = format!(
        "<name>summit.png</name><media-type>image/png</media-type><size>{}</size>{}",
        png.len(),
        sha256(&png)
    );
    let content = format!(
        "<body xmlns='jabber:client'>Look!\nhttps://x.example/p</body>{}\
         <fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:sfs:0'><body start='6'/></fallback>",
        sharing(&scene.web, "/p", &about)
    );
    let message = scene.bob_shares(&content, "summit.png").await;
    assert_eq!(
        (&message["body"], &message["encryption"]),
        (&json!("Look!"), &json!("omemo2"))
    );
    let shown = message["files"][0].clone();
    assert_eq!(
        (&shown["media_type"], &shown["size"]),
        (&json!("image/png"), &json!(png.len()))
    );
    let ready = scene.fetch(&shown).await;
    assert_eq!(ready["picture"], json!({ "width": 40, "height": 30 }));
    scene
        .alice
        .get("show_picture", json!({ "file": shown["file"] }))
        .await;

    for (name, about, state, failure) in [
        (
            "right.txt",
            format!("<size>40</size>{}", sha256(&plain(40))),
            "ready",
            Value::Null,
        ),
        (
            "hashed.txt",
            format!("<size>40</size>{}", sha256(b"other")),
            "failed",
            json!("forged"),
        ),
        (
            "shorter.txt",
            "<size>39</size>".to_owned(),
            "failed",
            json!("forged"),
        ),
        (
            "longer.txt",
            "<size>41</size>".to_owned(),
            "failed",
            json!("forged"),
        ),
    ] {
        scene.web.put_file(&format!("/{name}"), &seal(&plain(40)));
        let about = format!("<name>{name}</name>{about}");
        let content = sharing(&scene.web, &format!("/{name}"), &about);
        let message = scene.bob_shares(&content, name).await;
        let settled = scene.fetch(&message["files"][0]).await;
        assert_eq!(
            (&settled["state"], &settled["failure"]),
            (&json!(state), &failure),
            "{name}"
        );
    }
    let open = "<file-sharing xmlns='urn:xmpp:sfs:0'><file xmlns='urn:xmpp:file:metadata:0'><name>open.txt</name>\
        </file><sources><url-data xmlns='http://jabber.org/protocol/url-data' target='https://x.example/a'/></sources>\
        </file-sharing>";
    let message = scene.bob_shares(open, "open.txt").await;
    assert_eq!(message["files"][0]["failure"], "not_encrypted");
    let refused = scene
        .alice
        .call("fetch_file", json!({ "file": message["files"][0]["file"] }))
        .await;
    assert_eq!(refused.expect_err("nothing opens it").code, "not_supported");
}

#[tokio::test]
async fn whatever_a_server_does_a_file_is_right_or_has_failed_with_its_reason() {
    let mut scene = scene(true).await;
    let sealed = seal(&plain(5_000));
    let mut altered = sealed.clone();
    altered[100] ^= 1;
    let cut = &sealed[..3_000];
    let gzip = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nxx";
    let chunked = [
        format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n",
            sealed.len()
        )
        .as_bytes(),
        &sealed,
        b"\r\n0\r\n\r\n",
    ]
    .concat();
    let short = [b"HTTP/1.1 200 OK\r\nContent-Length: 5016\r\n\r\n".as_slice(), cut].concat();
    let huge = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n".to_vec();
    let to = |url: &str| head("302 Found", &format!("Location: {url}\r\n"));
    let here = |path: &str| scene.web.url(path);
    let table: Vec<(&str, Answer, &str)> = vec![
        ("chunked", Answer::Bytes(chunked), "ready"),
        ("moved", to("/chunked"), "ready"),
        ("altered", ok(&altered), "forged"),
        ("cut", ok(cut), "forged"),
        ("empty", ok(b""), "truncated"),
        ("short", Answer::Bytes(short), "truncated"),
        ("plain", ok(&plain(5_000)), "forged"),
        ("huge", Answer::Bytes(huge), "too_large"),
        ("endless", Answer::Endless, "too_large"),
        ("gzip", Answer::Bytes(gzip.into()), "server_failed"),
        (
            "garbage",
            Answer::Bytes(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec()),
            "server_failed",
        ),
        ("silent", Answer::Bytes(Vec::new()), "unreachable"),
        ("gone", head("410 Gone", ""), "gone"),
        ("forbidden", head("403 Forbidden", ""), "refused"),
        (
            "login",
            head("401 Unauthorized", "WWW-Authenticate: Basic realm=x\r\n"),
            "refused",
        ),
        ("broken", head("500 Oops", ""), "server_failed"),
        ("nothing", head("204 No Content", ""), "server_failed"),
        ("partial", head("206 Partial Content", ""), "server_failed"),
        ("loop", to("/loop"), "server_failed"),
        ("nowhere", head("302 Found", ""), "server_failed"),
        ("odd", to("ftp://localhost/x"), "server_failed"),
        (
            "password",
            to(&here("/chunked").replace("https://", "https://a:b@")),
            "server_failed",
        ),
        ("open", to("http://localhost/x"), "insecure"),
    ];
    for (name, answer, _) in &table {
        scene.web.put(&format!("/{name}"), answer.clone());
    }
    for (name, _, expected) in &table {
        let message = scene.bob_links(&format!("/{name}"), name).await;
        let settled = scene.fetch(&message["files"][0]).await;
        let outcome = if settled["state"] == "ready" {
            &settled["state"]
        } else {
            &settled["failure"]
        };
        assert_eq!(outcome, expected, "{name}: {settled}");
        if *name == "huge" {
            assert_eq!(settled["size"], 1_000_000_000_000_u64, "its size is learnt");
            let refused = scene
                .alice
                .call("fetch_file", json!({ "file": settled["file"] }))
                .await;
            assert_eq!(refused.expect_err("that is too much").code, "too_large");
        }
    }
    assert_eq!(scene.kept().len(), 2, "what failed was kept");
    // What a server has may be another thing the next time.
    scene.web.put_file("/altered", &sealed);
    let chat = scene.alice.chat_with(BOB).await;
    let messages = scene.alice.messages(&chat).await;
    let altered = messages
        .iter()
        .find(|message| message["files"][0]["name"] == "altered");
    let file = altered.expect("it is still offered")["files"][0].clone();
    assert_eq!(scene.fetch(&file).await["state"], "ready");
    scene.alice.wait_online().await;
}

#[tokio::test]
async fn a_server_is_asked_only_if_it_proves_itself_and_another_host_only_after_the_person_agreed() {
    let mut scene = scene(true).await;
    let sealed = seal(&plain(100));
    // Nobody vouches for this one, and this one is somebody else.
    let unknown = Web::start_as(&Authority::self_signed("localhost")).await;
    let misnamed = Web::start_as(&scene.authority.tls("elsewhere.example", (2020, 2090))).await;
    let other = Web::start_as(&scene.authority.tls("127.0.0.1", (2020, 2090))).await;
    for (web, name) in [(&unknown, "unknown"), (&misnamed, "misnamed")] {
        let path = format!("/{name}");
        web.put_file(&path, &sealed);
        scene.bob.send(ALICE, &web.link(&path), "omemo1").await;
        let message = scene.seen(name).await;
        let settled = scene.fetch(&message["files"][0]).await;
        assert_eq!(settled["failure"], "certificate", "{name}");
        assert!(web.heads().is_empty(), "{name} was told something");
    }
    let elsewhere = format!("127.0.0.1:{}", other.port);
    other.put_file("/there", &sealed);
    let location = format!("Location: https://{elsewhere}/there\r\n");
    scene.web.put("/away", head("301 Moved Permanently", &location));
    let message = scene.bob_links("/away", "away").await;
    let file = message["files"][0].clone();
    let settled = scene.fetch(&file).await;
    assert_eq!(
        (&settled["failure"], &settled["host"]),
        (&json!("elsewhere"), &json!(elsewhere))
    );
    assert!(other.heads().is_empty(), "it was asked before the person agreed");
    for host in [
        json!({}),
        json!({ "host": scene.web.host() }),
        json!({ "host": "evil.example" }),
    ] {
        let mut params = host;
        params["file"] = file["file"].clone();
        let refused = scene.alice.call("fetch_file", params).await;
        assert_eq!(refused.expect_err("not agreed").code, "not_agreed");
    }
    scene.alice.forget_events();
    let agreed = json!({ "file": file["file"], "host": elsewhere });
    scene.alice.get("fetch_file", agreed).await;
    assert_eq!(scene.settled(&file).await["state"], "ready");
}

#[tokio::test]
async fn a_strangers_file_is_fetched_only_after_the_person_agreed_to_its_host() {
    let mut scene = scene(false).await;
    scene.web.put_file("/gift.txt", &seal(&plain(100)));
    let message = scene.bob_links("/gift.txt", "gift.txt").await;
    let file = message["files"][0].clone();
    for params in [
        json!({ "file": file["file"] }),
        json!({ "file": file["file"], "host": "other.example" }),
    ] {
        let refused = scene.alice.call("fetch_file", params).await;
        assert_eq!(refused.expect_err("not agreed").code, "not_agreed");
    }
    assert!(scene.web.heads().is_empty());
    scene.alice.forget_events();
    let agreed = json!({ "file": file["file"], "host": scene.web.host() });
    scene.alice.get("fetch_file", agreed).await;
    assert_eq!(scene.settled(&file).await["state"], "ready");
}

#[tokio::test]
async fn fetching_can_be_stopped_and_leaves_nothing_behind() {
    let mut scene = scene(true).await;
    let sealed = seal(&plain(400_000));
    let first = [
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", sealed.len()).as_bytes(),
        &sealed[..200_000],
    ]
    .concat();
    scene
        .web
        .put("/slow", Answer::Held(first, sealed[200_000..].to_vec()));
    let message = scene.bob_links("/slow", "slow").await;
    let file = message["files"][0].clone();
    let params = json!({ "file": file["file"] });
    scene.alice.forget_events();
    scene.alice.get("fetch_file", params.clone()).await;
    let under_way = |event: &Value| event["message"]["files"][0]["state"] == "fetching";
    scene.alice.event("it is under way", under_way).await;
    scene.alice.get("fetch_file", params.clone()).await;
    waxwing_tests::until("a part has come", waxwing_tests::SHORT, async || {
        scene.kept().first().filter(|part| !part.is_empty()).map(|_| ())
    })
    .await;
    scene.alice.get("cancel_file", params.clone()).await;
    let list = json!({ "chat": message["chat"] });
    let messages = scene.alice.get("list_messages", list).await;
    assert_eq!(items(&messages)[0]["files"][0]["state"], "offered");
    assert!(scene.kept().is_empty(), "a part was left behind");
    assert_eq!(scene.web.heads().len(), 1, "it was asked for twice at once");
    scene.alice.get("cancel_file", params.clone()).await;

    // A crash leaves a part, which the next start clears away.
    scene.alice.get("fetch_file", params).await;
    waxwing_tests::until("a part has come", waxwing_tests::SHORT, async || {
        scene.kept().first().filter(|part| !part.is_empty()).map(|_| ())
    })
    .await;
    scene.alice.kill().await;
    assert_eq!(scene.kept().len(), 1);
    scene.alice.start_again().await;
    assert!(scene.kept().is_empty(), "the part is still there");
    scene.alice.wait_online().await;
    scene.web.put_file("/slow", &sealed);
    assert_eq!(scene.fetch(&file).await["state"], "ready");
    fs::remove_dir_all(scene.alice.profile.directory().join("files")).expect("removed");
    let lost = scene
        .alice
        .call("save_file", json!({ "file": file["file"] }))
        .await;
    assert_eq!(lost.expect_err("it is gone").code, "not_found");
    assert_eq!(scene.settled(&file).await["failure"], "lost");
    assert_eq!(scene.fetch(&file).await["state"], "ready");
    let account = scene.alice.account.clone();
    scene
        .alice
        .get("remove_account", json!({ "account": account }))
        .await;
    assert!(scene.kept().is_empty(), "the account's file outlives it");
}

#[tokio::test]
async fn with_a_proxy_nobody_but_the_proxy_learns_the_host() {
    let mut scene = scene(true).await;
    scene.web.put_file("/a", &seal(&plain(100)));
    let message = scene.bob_links("/a", "a").await;
    let proxy = waxwing_scripted::socks::to(scene.web.port).await;
    let account = scene.alice.account.clone();
    let connection = json!({
        "account": account, "host": "127.0.0.1", "port": scene.server.direct_tls_port, "tls": "direct",
        "proxy": { "kind": "socks5", "host": "127.0.0.1", "port": proxy.port },
    });
    scene.alice.get("set_connection", connection).await;
    let settled = scene.fetch(&message["files"][0]).await;
    assert_eq!(settled["state"], "ready");
    assert!(proxy.asked().contains(&scene.web.host()), "{:?}", proxy.asked());
}

#[tokio::test]
async fn a_link_in_the_open_or_among_words_is_text() {
    let mut scene = scene(true).await;
    let link = scene.web.link("/a");
    for (body, encryption) in [
        (link.clone(), "none"),
        (format!("look: {link}"), "omemo1"),
        (format!("{link}\nsecond line"), "omemo2"),
        (link.replace("aesgcm", "https"), "omemo1"),
    ] {
        scene.bob.send(ALICE, &body, encryption).await;
        let message = scene.alice.hears(&body).await;
        assert_eq!(message["files"], json!([]), "{body}");
    }
    assert!(scene.web.heads().is_empty());
}
