use proptest::prelude::*;

use super::{SYMBOLS, lex};
use crate::ast::{Attribute, Intrinsic, Scope};
use crate::token::TokenKind;

fn kinds(text: &str) -> Vec<TokenKind> {
    lex(text).into_iter().map(|token| token.kind).collect()
}

fn named(scope: Scope, name: &str) -> TokenKind {
    TokenKind::Attribute(Attribute::Named { scope, name: name.to_owned(), parent: false })
}

#[test]
fn every_symbol_is_one_token() {
    for symbol in SYMBOLS {
        assert_eq!(kinds(symbol), [TokenKind::Symbol(symbol), TokenKind::End]);
    }
}

#[test]
fn symbols_are_as_long_as_can_be() {
    let symbols = |text: &str| lex(text).into_iter().map(|token| token.end - token.start).collect::<Vec<_>>();
    assert_eq!(symbols("!>>="), [3, 1, 0]);
    assert_eq!(symbols("&&&>>"), [2, 3, 0]);
    assert_eq!(symbols(">=~"), [2, 1, 0]);
    assert_eq!(symbols("=!"), [1, 1, 0]);
}

#[test]
fn attribute_names_end_where_they_must() {
    for stop in ["{", "}", "(", ")", "=", "~", "!", "<", ">", "&", "|", "^", ",", " ", "\n", "\u{a0}", ""] {
        assert_eq!(
            lex(&format!(".a.b-1+2*3/4%5:6;7[8]9?{stop}"))[0].kind,
            named(Scope::None, "a.b-1+2*3/4%5:6;7[8]9?")
        );
    }
    assert_eq!(kinds(".a//b")[0], named(Scope::None, "a//b"));
    assert_eq!(kinds("event.x\"y z\".\"\\\"\\\\\"")[0], named(Scope::Event, "xy z.\"\\"));
}

#[test]
fn scopes_and_prefixes_need_their_mark() {
    assert_eq!(
        kinds("span .a"),
        [TokenKind::Word("span".to_owned()), named(Scope::None, "a"), TokenKind::End]
    );
    assert_eq!(kinds("spanner"), [TokenKind::Word("spanner".to_owned()), TokenKind::End]);
    assert_eq!(kinds("link:spanID")[0], TokenKind::Attribute(Attribute::Intrinsic(Intrinsic::LinkSpanId)));
}

#[test]
fn numbers() {
    let cases = [
        ("0", TokenKind::Int(0)),
        ("007", TokenKind::Int(7)),
        ("9223372036854775807", TokenKind::Int(i64::MAX)),
        ("1.5", TokenKind::Float(1.5)),
        ("1.", TokenKind::Float(1.0)),
        (".5", TokenKind::Float(0.5)),
        ("1e3", TokenKind::Float(1000.0)),
        ("1E-3", TokenKind::Float(0.001)),
        ("1m30s", TokenKind::Duration(90_000_000_000)),
        ("1.5ms", TokenKind::Duration(1_500_000)),
    ];
    for (text, kind) in cases {
        assert_eq!(kinds(text), [kind, TokenKind::End], "{text}");
    }
}

#[test]
fn strings() {
    let cases = [
        (r#""""#, ""),
        (r#""a\a\b\f\n\r\t\v\\\"""#, "a\u{7}\u{8}\u{c}\n\r\t\u{b}\\\""),
        (r#""\x41\101\u00e9\U0001F600""#, "AA\u{e9}\u{1f600}"),
        (r#""\xc3\xa9""#, "\u{e9}"),
        (r#""\377\xff""#, ""),
        ("`a\\n\"b\r\nc`", "a\\n\"b\nc"),
    ];
    for (text, value) in cases {
        let kind = kinds(text).swap_remove(0);
        if value.is_empty() && text.len() > 2 {
            assert!(matches!(kind, TokenKind::Invalid(_)), "{text}");
        } else {
            assert_eq!(kind, TokenKind::String(value.to_owned()), "{text}");
        }
    }
    for text in [r#""\'""#, r#""\x4""#, r#""\400""#, r#""\ud800""#, r#""\U00110000""#, "\"a", "`a", "\"\\"] {
        assert!(matches!(kinds(text)[0], TokenKind::Invalid(_)), "{text}");
    }
}

#[test]
fn comments_are_space() {
    assert_eq!(kinds("// a\n1 /* 2 \n // */ 3//"), [TokenKind::Int(1), TokenKind::Int(3), TokenKind::End]);
    assert!(matches!(kinds("/* /* */ /*")[0], TokenKind::Invalid(_)));
}

proptest! {
    #[test]
    fn tokens_lie_in_order_within_any_text(text in any::<String>()) {
        let tokens = lex(&text);
        let mut end = 0;
        for token in &tokens {
            prop_assert!(end <= token.start && token.start <= token.end && text.get(token.start..token.end).is_some());
            end = token.end;
        }
        prop_assert_eq!(tokens.last().map(|token| &token.kind), Some(&TokenKind::End));
    }
}
