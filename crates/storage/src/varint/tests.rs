use super::*;

#[test]
fn numbers_come_back() {
    for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, number);
        let mut rest = bytes.as_slice();
        assert_eq!(get_varint(&mut rest), Some(number));
        assert!(rest.is_empty());
        assert_eq!(get_varint(&mut &bytes[..bytes.len() - 1]), None, "cut short");
    }
    assert_eq!(get_varint(&mut [0xff_u8; 11].as_slice()), None);
    for number in [0, -1, 1, i64::MIN, i64::MAX, -300] {
        assert_eq!(unzigzag(zigzag(number)), number);
    }
}
