use super::*;

#[test]
fn reads_short_odd_and_upper_case_ids() {
    for (text, hex) in [
        ("1", "00000000000000000000000000000001"),
        ("ABC", "00000000000000000000000000000abc"),
        ("0af7651916cd43dd8448eb211c80319c", "0af7651916cd43dd8448eb211c80319c"),
    ] {
        assert_eq!(text.parse::<TraceId>().map(|id| id.to_string()), Ok(hex.to_owned()));
    }
}

#[test]
fn refuses_with_the_position() {
    assert_eq!("12x4".parse::<TraceId>(), Err(ParseIdError::NotHex { character: 'x', position: 3 }));
    assert_eq!("0".repeat(33).parse::<TraceId>(), Err(ParseIdError::TooLong));
    assert_eq!("".parse::<TraceId>(), Err(ParseIdError::Empty));
}

#[test]
fn search_form_strips_leading_zeros() {
    assert_eq!("00ff".parse::<TraceId>().map(|id| id.short_hex()), Ok("ff".to_owned()));
    assert_eq!(TraceId::default().short_hex(), "0");
}
