use super::*;

fn record(seq: Seq, payload: &[u8]) -> Vec<u8> {
    let tenant = "tenant".parse().expect("valid tenant");
    [&encode_prefix(seq, 7, &tenant, payload), payload].concat()
}

fn decode(record: &[u8]) -> Result<Body, &'static str> {
    let (crc, length) = decode_frame(record);
    assert_eq!(length as usize, record.len() - FRAME_BYTES);
    decode_body(crc, Bytes::copy_from_slice(&record[FRAME_BYTES..]))
}

#[test]
fn records_survive() {
    let body = decode(&record(42, b"payload")).expect("whole");
    assert_eq!((body.seq, body.format), (42, 7));
    assert_eq!((body.tenant.as_ref(), body.payload.as_ref()), (b"tenant".as_ref(), b"payload".as_ref()));
    assert!(decode(&record(1, b"")).expect("whole").payload.is_empty());
}

#[test]
fn any_flipped_bit_is_found() {
    let whole = record(42, b"payload");
    for bit in 0..whole.len() * 8 {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let (crc, length) = decode_frame(&damaged);
        let noticed = length as usize != whole.len() - FRAME_BYTES
            || decode_body(crc, Bytes::copy_from_slice(&damaged[FRAME_BYTES..])).is_err();
        assert!(noticed, "bit {bit}");
    }
}

#[test]
fn headers_survive_and_damage_is_found() {
    let header = encode_header(17);
    assert_eq!(decode_header(&header), Header::Valid { first: 17 });
    for byte in 0..HEADER_BYTES {
        let mut damaged = header;
        damaged[byte] ^= 0x10;
        assert_eq!(decode_header(&damaged), Header::Damaged, "byte {byte}");
    }
    assert_eq!(decode_header(&[0; HEADER_BYTES]), Header::Damaged);
}

#[test]
fn a_newer_format_is_told_apart_from_damage() {
    let mut header = encode_header(1);
    header[8..12].copy_from_slice(&(FORMAT + 1).to_le_bytes());
    let crc = crc32fast::hash(&header[..20]);
    header[20..].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(decode_header(&header), Header::Newer(FORMAT + 1));
}

#[test]
fn segment_names() {
    let path = segment_path(Path::new("/wal"), 12);
    assert_eq!(path, Path::new("/wal/00000000000000000012.wal"));
    assert_eq!(first_seq(&path), Some(12));
    for other in ["lock", "writer", "12.wal", "+0000000000000000012.wal", "00000000000000000012.tmp"] {
        assert_eq!(first_seq(Path::new(other)), None, "{other}");
    }
}
