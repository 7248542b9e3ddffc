use super::*;

#[test]
fn takes_what_tempo_takes() {
    for (text, id) in [("team-a", "team-a"), ("a!-_.*'()9", "a!-_.*'()9"), ("a:region=eu", "a")] {
        assert_eq!(text.parse::<TenantId>().map(|t| t.as_str().to_owned()), Ok(id.to_owned()));
    }
}

#[test]
fn refuses_what_could_leave_its_folder() {
    for text in ["..", ".", "a/b", "a\\b", "a b", "ä", "a|b"] {
        assert!(matches!(text.parse::<TenantId>(), Err(InvalidTenant::Unsafe(_))), "{text}");
    }
    assert_eq!("".parse::<TenantId>(), Err(InvalidTenant::Missing));
    assert_eq!("x".repeat(151).parse::<TenantId>(), Err(InvalidTenant::TooLong));
}

#[test]
fn several_tenants_are_joined_by_a_bar() {
    let tenants: Tenants = "b|a|b".parse().unwrap();
    assert_eq!(tenants.iter().map(TenantId::as_str).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!("a|".parse::<Tenants>(), Err(InvalidTenant::Missing));
    let many: Vec<String> = (0..65).map(|n| n.to_string()).collect();
    assert_eq!(many.join("|").parse::<Tenants>(), Err(InvalidTenant::TooMany));
}
