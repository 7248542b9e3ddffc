use super::*;

#[test]
fn the_first_locale_variable_that_is_set_decides() {
    let locale = |pairs: &[(&str, &str)]| {
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        locale_is_utf8(|name| pairs.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone()))
    };
    assert!(!locale(&[]));
    assert!(locale(&[("LANG", "en_GB.UTF-8")]));
    assert!(locale(&[("LC_ALL", ""), ("LANG", "C.utf8")]));
    assert!(!locale(&[("LC_ALL", "C"), ("LANG", "en_GB.UTF-8")]));
    assert!(!locale(&[("LANG", "de_DE.ISO-8859-1")]));
}

#[test]
fn nothing_that_a_terminal_obeys_is_printed() {
    assert_eq!(printable("a\x1b[31mb\u{9b}c\nd\u{202e}e"), "a\u{fffd}[31mb\u{fffd}c\u{fffd}d\u{fffd}e");
    assert_eq!(printable("größe 名前"), "größe 名前");
}

#[test]
fn colour_only_when_seen_and_wanted() {
    let terminal = |colour| Terminal { width: Some(80), unicode: true, colour };
    assert_eq!(terminal(false).paint("31", "x"), "x");
    assert_eq!(terminal(true).paint("31", "x"), "\x1b[31mx\x1b[0m");
    assert_eq!(terminal(true).paint("31", ""), "");
}
