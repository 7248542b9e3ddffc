//! Attributes on their own, as the tag endpoints name them.

use crate::{Attribute, Intrinsic, Scope, parse_attribute};

#[test]
fn attributes_parse_alone() {
    let named = |scope, name: &str, parent| Attribute::Named { scope, name: name.to_owned(), parent };
    let cases = [
        (".foo", named(Scope::None, "foo", false)),
        ("resource.x", named(Scope::Resource, "x", false)),
        ("span.\"a b\"", named(Scope::Span, "a b", false)),
        ("parent.x", named(Scope::None, "x", true)),
        ("parent.span.x", named(Scope::Span, "x", true)),
        ("parent.resource.x", named(Scope::Resource, "x", true)),
        ("parent.event.x", named(Scope::None, "event.x", true)),
        ("parent.\"span.x\"", named(Scope::None, "span.x", true)),
        ("span:name", Attribute::Intrinsic(Intrinsic::Name)),
        ("name", Attribute::Intrinsic(Intrinsic::Name)),
        ("parent", Attribute::Intrinsic(Intrinsic::Parent)),
        (" trace:rootService ", Attribute::Intrinsic(Intrinsic::RootServiceName)),
    ];
    for (text, attribute) in cases {
        assert_eq!(parse_attribute(text), Ok(attribute.clone()), "{text}");
        assert_eq!(parse_attribute(&attribute.to_string()), Ok(attribute), "{text}");
    }
    for text in ["", "foo", ". foo", ".a .b", "{ .a }", "trace:rootServiceName", "span.", "5"] {
        assert!(parse_attribute(text).is_err(), "{text}");
    }
}

#[test]
fn output_keys_have_no_scope() {
    for (text, key) in [("span.a.b", "a.b"), ("span:name", "name"), ("trace:rootService", "rootServiceName")]
    {
        assert_eq!(parse_attribute(text).unwrap().bare_name(), key);
    }
}
