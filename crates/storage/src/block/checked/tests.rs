use super::*;

fn summed(bytes: &[u8], step: usize) -> Checksums {
    let mut summing = Summing::default();
    bytes.chunks(step).for_each(|chunk| summing.add(chunk));
    Checksums::parse(&summing.finish(), bytes.len() as u64).expect("its own text")
}

#[test]
fn sums_do_not_depend_on_how_bytes_come() {
    let bytes: Vec<u8> = (0..10_000_u32).map(|at| (at % 251) as u8).collect();
    let sums = summed(&bytes, 10_000);
    assert_eq!(sums.sectors.len(), 3);
    for step in [1, 7, 4095, 4096, 4097] {
        assert_eq!(summed(&bytes, step), sums);
    }
    assert_eq!(Checksums::parse("AAAA", 4096), None);
    assert!(summed(&[], 1).sectors.is_empty());
}

#[test]
fn ranges_are_widened_to_sectors_and_joined() {
    let sums = summed(&[0; 10_000], 64);
    let whole = sums.around(&[5000..5001, 10..20, 4095..4097, 9_999..10_000]);
    assert_eq!(whole.iter().map(|range| (range.start, range.end)).collect::<Vec<_>>(), [(0, 10_000)]);
    assert_eq!(sums.around(&[9000..10_000, 0..1]), [0..4096, 8192..10_000]);
}

#[test]
fn any_changed_byte_is_found() {
    let mut bytes = vec![7; 5000];
    let sums = summed(&bytes, 64);
    sums.check(0, &bytes).expect("as it was written");
    for at in [0, 4095, 4096, 4999] {
        bytes[at] ^= 1;
        sums.check(0, &bytes).expect_err("changed");
        bytes[at] ^= 1;
    }
    sums.check(0, &bytes[..4999]).expect_err("shorter");
}
