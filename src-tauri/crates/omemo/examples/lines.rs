//! One device that speaks in lines, so that a script can set it against a foreign implementation
//! (`tests/interop/omemo_offline/check.py`). Its random bytes are the same in every run.
//!
//! Started with `legacy` or `omemo2`, and a file if it is to be started again: all it keeps is stored there after every
//! line, and read if the file is there. Lines in, one line out each:
//! - `bundle` -> the bundle's XML
//! - `start <bundle XML>` -> `ok`
//! - `send <hex of a text, or - for an empty message>` -> `<0|1 key exchange> <key> <iv> <payload>`, in hex or `-`
//! - `open <0|1> <key> <iv> <payload>` -> `ok <hex of the text, or ->` or `error <code>`

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use waxwing_omemo::{
    Bundle, DeviceId, Entropy, IdentityKeyPair, KeyElement, LocalPreKeys, PreKey, PreKeyId, Profile,
    SessionRecord, SignedPreKey, decrypt_key, encrypt_key, generate_prekeys, open_payload, seal_empty,
    seal_payload, start_session, xml,
};

/// Counts through a hash-like sequence: worthless as entropy, the same in every run.
struct Fixed(u64);

impl Entropy for Fixed {
    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            *byte = self.0.to_be_bytes()[0];
        }
    }
}

struct Device {
    profile: Profile,
    rng: Fixed,
    identity: IdentityKeyPair,
    signed: SignedPreKey,
    prekeys: Vec<PreKey>,
    /// As a store would keep it: read and written at every step.
    stored: Option<Vec<u8>>,
    file: Option<PathBuf>,
}

fn main() -> ExitCode {
    let profile = match std::env::args().nth(1).as_deref() {
        Some("legacy") => Profile::Legacy,
        Some("omemo2") => Profile::Omemo2,
        _ => return ExitCode::FAILURE,
    };
    let mut device = Device::new(profile, std::env::args_os().nth(2).map(PathBuf::from));
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let answer = device
            .answer(&line)
            .unwrap_or_else(|code| format!("error {code}"));
        let kept = device.save();
        if kept
            .and_then(|()| writeln!(out, "{answer}"))
            .and_then(|()| out.flush())
            .is_err()
        {
            break;
        }
    }
    ExitCode::SUCCESS
}

impl Device {
    fn new(profile: Profile, file: Option<PathBuf>) -> Self {
        let mut rng = Fixed(1);
        let mut device = Self {
            profile,
            identity: IdentityKeyPair::generate(&mut rng),
            signed: SignedPreKey::generate(PreKeyId(1), 0, &mut rng),
            prekeys: generate_prekeys(PreKeyId(1), 10, &mut rng),
            rng,
            stored: None,
            file,
        };
        let file = device.file.as_ref();
        if let Some(text) = file.and_then(|file| std::fs::read_to_string(file).ok()) {
            device.load(&text);
        }
        device
    }

    /// All that changes while it talks: where the random bytes are, the record, and the prekeys that are left.
    fn save(&self) -> std::io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let prekeys: Vec<_> = self.prekeys.iter().map(|key| key.id().to_string()).collect();
        let record = hex(self.stored.as_deref());
        std::fs::write(file, format!("{} {record} {}", self.rng.0, prekeys.join(" ")))
    }

    fn load(&mut self, text: &str) {
        let mut words = text.split(' ');
        self.rng = Fixed(
            words
                .next()
                .and_then(|number| number.parse().ok())
                .expect("a number"),
        );
        self.stored = words.next().and_then(unhex);
        let left: Vec<u32> = words.filter_map(|id| id.parse().ok()).collect();
        self.prekeys.retain(|key| left.contains(&key.id().0));
    }

    fn answer(&mut self, line: &str) -> Result<String, String> {
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        match command {
            "bundle" => {
                let (rng, keys) = (&mut self.rng, &self.prekeys);
                let bundle = Bundle::of_own_keys(self.profile, &self.identity, &self.signed, keys, rng);
                Ok(String::from(&xml::write_bundle(&bundle)))
            }
            "start" => {
                let element = rest.parse().map_err(|error| format!("{error}"))?;
                let bundle = xml::read_bundle(&element).map_err(|error| error.to_string())?;
                let device = DeviceId::random(&mut self.rng);
                let started = start_session(None, &self.identity, device, &bundle, None, &mut self.rng);
                self.keep(&started.map_err(|error| error.code().to_owned())?);
                Ok("ok".to_owned())
            }
            "send" => self.send(rest),
            "open" => self.open(rest),
            _ => Err("unknown command".to_owned()),
        }
    }

    fn record(&self) -> Option<SessionRecord> {
        self.stored
            .as_deref()
            .and_then(|bytes| SessionRecord::from_bytes(bytes).ok())
    }

    fn keep(&mut self, record: &SessionRecord) {
        self.stored = Some(record.to_bytes().to_vec());
    }

    fn send(&mut self, text: &str) -> Result<String, String> {
        let sealed = match unhex(text) {
            None => seal_empty(self.profile, &mut self.rng),
            Some(text) => seal_payload(self.profile, &text, &mut self.rng),
        };
        let record = self.record().ok_or("no session")?;
        let (record, key) = encrypt_key(&record, &self.identity, &sealed.key_material)
            .map_err(|error| error.code().to_owned())?;
        self.keep(&record);
        let (iv, payload) = (hex(sealed.iv.as_deref()), hex(sealed.payload.as_deref()));
        Ok(format!(
            "{} {} {iv} {payload}",
            u8::from(key.is_prekey),
            hex(Some(&key.bytes))
        ))
    }

    fn open(&mut self, rest: &str) -> Result<String, String> {
        let mut words = rest.split(' ');
        let is_prekey = words.next() == Some("1");
        let key = KeyElement {
            bytes: words.next().and_then(unhex).ok_or("key")?,
            is_prekey,
        };
        let (iv, payload) = (words.next().and_then(unhex), words.next().and_then(unhex));
        let local = LocalPreKeys {
            signed: std::slice::from_ref(&self.signed),
            one_time: &self.prekeys,
        };
        let record = self.record();
        let opened = decrypt_key(
            self.profile,
            record.as_ref(),
            &self.identity,
            local,
            &key,
            None,
            &mut self.rng,
        )
        .map_err(|error| error.code().to_owned())?;
        self.keep(&opened.record);
        self.prekeys
            .retain(|key| Some(key.id()) != opened.effects.consumed_prekey);
        let Some(payload) = payload else {
            return Ok("ok -".to_owned());
        };
        let text = open_payload(self.profile, &opened.key_material, iv.as_deref(), &payload)
            .map_err(|error| error.code().to_owned())?;
        Ok(format!("ok {}", hex(Some(&text))))
    }
}

fn hex(bytes: Option<&[u8]>) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16);
    let digits = |bytes: &[u8]| {
        bytes
            .iter()
            .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
            .flatten()
            .collect()
    };
    bytes.map_or_else(|| "-".to_owned(), digits)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    Some(
        digits
            .chunks(2)
            .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
            .collect(),
    )
}
