//! What a file may be called that somebody else named.

/// Names are cut to so many bytes; the usual file systems take 255, and a number may be added.
const LONGEST: usize = 200;
/// What stands behind the last dot counts as an ending up to so many bytes.
const LONGEST_ENDING: usize = 16;
/// What a name becomes of which nothing is left.
const NAMELESS: &str = "file";

/// Names that are devices on Windows, whatever ending they have.
const DEVICES: [&str; 7] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"];

/// Endings of what runs, or has something run, when it is opened.
const PROGRAMS: [&str; 70] = [
    "apk",
    "app",
    "appimage",
    "applescript",
    "appx",
    "bash",
    "bat",
    "bin",
    "chm",
    "class",
    "cmd",
    "com",
    "command",
    "cpl",
    "csh",
    "deb",
    "desktop",
    "dll",
    "dmg",
    "docm",
    "dotm",
    "exe",
    "fish",
    "flatpakref",
    "gadget",
    "hta",
    "htm",
    "html",
    "inf",
    "iso",
    "jar",
    "js",
    "jse",
    "ksh",
    "lnk",
    "lua",
    "mht",
    "mhtml",
    "msc",
    "msi",
    "msix",
    "msp",
    "mst",
    "php",
    "pif",
    "pkg",
    "pl",
    "ppam",
    "pptm",
    "ps1",
    "psm1",
    "py",
    "pyw",
    "rb",
    "reg",
    "rpm",
    "run",
    "scf",
    "scr",
    "sh",
    "svg",
    "tcl",
    "url",
    "vbe",
    "vbs",
    "wsf",
    "xhtml",
    "xlsm",
    "xltm",
    "zsh",
];

/// A name that is harmless on every system: the last component, without what cannot be seen, turns writing around,
/// means something to a file system or names a device; never hidden, never empty.
pub(crate) fn safe(name: &str) -> String {
    let last = name
        .rsplit(['/', '\\'])
        .find(|part| !part.is_empty())
        .unwrap_or_default();
    let visible: String = last
        .chars()
        .filter(|c| !is_hidden(*c))
        .map(|c| if "<>:\"|?*".contains(c) { '_' } else { c })
        .collect();
    let spaced = visible.split_whitespace().collect::<Vec<_>>().join(" ");
    let cut = shorten(spaced.trim_matches([' ', '.']));
    let name = cut.trim_end_matches([' ', '.']);
    if name.is_empty() {
        NAMELESS.to_owned()
    } else if is_device(name) {
        format!("_{name}")
    } else {
        name.to_owned()
    }
}

/// Whether opening it may run something.
pub(crate) fn is_program(name: &str) -> bool {
    ending(name).is_some_and(|ending| PROGRAMS.contains(&ending.to_ascii_lowercase().as_str()))
}

/// The name with a number before its ending, for when there is such a file already.
pub(crate) fn numbered(name: &str, number: u32) -> String {
    match name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()) {
        Some((stem, ending)) => format!("{stem} ({number}).{ending}"),
        None => format!("{name} ({number})"),
    }
}

fn ending(name: &str) -> Option<&str> {
    name.rsplit_once('.').map(|(_, ending)| ending)
}

/// Controls, marks of direction, spaces without width, and the other letters that nobody sees.
fn is_hidden(c: char) -> bool {
    (c.is_control() && !c.is_whitespace())
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{ffff}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}')
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    let numbered = |prefix: &str| {
        let rest = stem
            .get(..3)
            .filter(|start| start.eq_ignore_ascii_case(prefix))
            .and(stem.get(3..));
        rest.is_some_and(|rest| {
            let mut rest = rest.chars();
            matches!(
                (rest.next(), rest.next()),
                (Some('0'..='9' | '¹' | '²' | '³'), None)
            )
        })
    };
    DEVICES.iter().any(|device| stem.eq_ignore_ascii_case(device)) || numbered("COM") || numbered("LPT")
}

/// Cut before its ending, so that it still says what it is.
fn shorten(name: &str) -> String {
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let ending = ending(name).filter(|ending| ending.len() <= LONGEST_ENDING);
    let room = LONGEST - ending.map_or(0, |ending| ending.len() + 1);
    let stem = name.get(..name.floor_char_boundary(room)).unwrap_or_default();
    match ending {
        Some(ending) => format!("{}.{ending}", stem.trim_end_matches([' ', '.'])),
        None => stem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_its_last_component_and_nothing_that_a_system_minds() {
        for (name, safe_name) in [
            ("summit.jpg", "summit.jpg"),
            ("très cool.jpg", "très cool.jpg"),
            ("写真 2026.png", "写真 2026.png"),
            ("مستند.pdf", "مستند.pdf"),
            ("../../.ssh/authorized_keys", "authorized_keys"),
            ("..\\..\\Windows\\system32\\evil.dll", "evil.dll"),
            ("C:\\Users\\a.txt", "a.txt"),
            ("C:a.txt", "C_a.txt"),
            ("a.txt/", "a.txt"),
            ("/", "file"),
            ("", "file"),
            (".", "file"),
            ("..", "file"),
            ("...", "file"),
            (" . . ", "file"),
            (".bashrc", "bashrc"),
            ("..hidden", "hidden"),
            ("a.exe.", "a.exe"),
            ("a.exe . .", "a.exe"),
            (
                "photo.jpg                                  .exe",
                "photo.jpg .exe",
            ),
            ("a\tb\nc.txt", "a b c.txt"),
            ("a\0b\u{7}\u{1b}[31m.txt", "ab[31m.txt"),
            ("photo\u{202e}gpj.exe", "photogpj.exe"),
            ("a\u{2066}b\u{2069}\u{200f}\u{61c}.txt", "ab.txt"),
            ("a\u{200b}\u{feff}\u{ad}\u{e0041}b", "ab"),
            ("\u{202e}", "file"),
            ("a<b>c:d\"e|f?g*h", "a_b_c_d_e_f_g_h"),
            ("a.txt:stream", "a.txt_stream"),
            ("CON", "_CON"),
            ("con.txt", "_con.txt"),
            ("nul .tar.gz", "_nul .tar.gz"),
            ("COM1", "_COM1"),
            ("lpt¹.png", "_lpt¹.png"),
            ("COM10.txt", "COM10.txt"),
            ("conin$", "_conin$"),
            ("console.log", "console.log"),
            ("é", "é"),
            ("ÅÅ", "ÅÅ"),
        ] {
            assert_eq!(safe(name), safe_name, "{name:?}");
        }
    }

    #[test]
    fn a_long_name_is_cut_and_keeps_its_ending() {
        let long = safe(&format!("{}.jpeg", "é".repeat(500)));
        assert!(long.ends_with("é.jpeg") && long.len() <= LONGEST, "{long}");
        assert!(safe(&"x".repeat(10_000)).len() <= LONGEST);
        assert!(safe(&format!("a.{}", "x".repeat(10_000))).len() <= LONGEST);
        let dots = safe(&format!("{} . .{}", "x".repeat(195), "y".repeat(30)));
        assert!(!dots.ends_with(['.', ' ']), "{dots}");
    }

    #[test]
    fn whatever_a_name_is_made_of_it_becomes_harmless_and_stays_so() {
        let parts = [
            "/", "\\", "..", ".", " ", "\u{202e}", "\0", "CON", "com1", "a", "é", "写", ":", "\n", "%2e",
            "x.exe", "~", "\u{200b}",
        ];
        let mut seed = 1_u32;
        for _ in 0..20_000 {
            let mut name = String::new();
            for _ in 0..seed % 9 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                name.push_str(parts.get((seed >> 16) as usize % parts.len()).expect("a part"));
            }
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let harmless = safe(&name);
            assert_eq!(safe(&harmless), harmless, "{name:?} changes twice");
            assert!(!harmless.is_empty() && harmless.len() <= LONGEST, "{name:?}");
            assert!(
                !harmless.starts_with('.') && !harmless.ends_with(['.', ' ']),
                "{name:?}: {harmless:?}"
            );
            assert!(
                !harmless.contains(['/', '\\', ':', '\0', '\u{202e}', '\n', '\u{200b}']),
                "{name:?}: {harmless:?}"
            );
            assert!(!is_device(&harmless), "{name:?}: {harmless:?}");
            let path = std::path::Path::new(&harmless);
            assert_eq!(
                path.file_name().and_then(|name| name.to_str()),
                Some(harmless.as_str()),
                "{name:?}"
            );
        }
    }

    #[test]
    fn a_number_stands_before_the_ending() {
        assert_eq!(numbered("a.tar.gz", 2), "a.tar (2).gz");
        assert_eq!(numbered("notes", 3), "notes (3)");
    }

    #[test]
    fn programs_are_told_by_their_ending_in_any_case() {
        for name in [
            "a.exe",
            "photo.jpg.EXE",
            "run.Sh",
            "a.desktop",
            "page.html",
            "x.AppImage",
            "sheet.xlsm",
        ] {
            assert!(is_program(name), "{name}");
        }
        for name in ["a.jpg", "exe", "exe.txt", "a.pdf", "notes", "a.7z", ""] {
            assert!(!is_program(name), "{name}");
        }
    }
}
