use super::*;

#[test]
fn reads_units_and_fractions() {
    let cases = [
        ("1024", 1024),
        ("1KiB", 1024),
        ("1.5 GiB", 3 << 29),
        ("20MB", 20_000_000),
        ("7B", 7),
        (" 2MiB ", 2 << 20),
    ];
    for (text, bytes) in cases {
        assert_eq!(text.parse::<ByteSize>(), Ok(ByteSize::from_bytes(bytes)), "{text}");
    }
}

#[test]
fn refuses_what_is_no_size() {
    for text in ["", "MiB", "-1", "1XB", "1.2.3MiB", "99999999TiB", "1e3"] {
        text.parse::<ByteSize>().expect_err(text);
    }
}

#[test]
fn prints_what_it_can_read() {
    for bytes in [0, 1, 1023, 1024, 256 << 20, 5 << 40] {
        let size = ByteSize::from_bytes(bytes);
        assert_eq!(size.to_string().parse(), Ok(size));
    }
    assert_eq!(ByteSize::from_bytes(1536).to_string(), "1.5KiB");
}
