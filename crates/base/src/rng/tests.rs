use super::*;

#[derive(Debug)]
struct Constant(u64);

impl Randomness for Constant {
    fn next_u64(&self) -> u64 {
        self.0
    }
}

#[test]
fn block_ids_sort_by_time_and_survive_printing() {
    let early = BlockId::generate(1_700_000_000_000_000_000, &Constant(u64::MAX));
    let late = BlockId::generate(1_700_000_000_001_000_000, &Constant(0));
    assert!(early < late);
    assert!(early.to_string() < late.to_string());
    assert_eq!(early.to_string().parse(), Ok(early));
    "xyz".parse::<BlockId>().expect_err("not hex");
}
