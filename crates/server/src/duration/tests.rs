use std::time::Duration;

use super::{parse, print};

#[test]
fn reads_what_go_reads() {
    let millis = |text| parse(text).map(|d| d.as_millis());
    assert_eq!(millis("250ms"), Ok(250));
    assert_eq!(millis("1.5s"), Ok(1500));
    assert_eq!(millis("1h30m"), Ok(5_400_000));
    assert_eq!(millis("0"), Ok(0));
    assert_eq!(parse("3us"), Ok(Duration::from_micros(3)));
    assert_eq!(parse("3µs"), Ok(Duration::from_micros(3)));
}

#[test]
fn refuses_the_rest() {
    for text in ["", "5", "ms", "-1s", "1x", "1.2.3s", "99999999999999h", "s1", "1s2"] {
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn prints_what_it_reads() {
    for text in ["0s", "1ns", "1500ms", "30s", "168h", "90m"] {
        assert_eq!(print(parse(text).unwrap()), text);
    }
}
