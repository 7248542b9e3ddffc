use super::Dump;

#[test]
fn a_dump_of_the_allocator_is_read() {
    let text = "heap_v2/524288\n  t*: 3: 1048832 [0: 0]\n  t0: 3: 1048832 [0: 0]\n\
                @ 0x10 0x2f 0x30\n  t*: 1: 1048576 [0: 0]\n  t0: 1: 1048576 [0: 0]\n\
                @ 0x11\n  t*: 2: 256 [0: 0]\n  t3: 2: 256 [0: 0]\n\nMAPPED_LIBRARIES:\n00400000-00500000 r-xp 0 00:00 0 /bin/x\n";
    let dump = Dump::parse(text).unwrap();
    assert_eq!(dump.sampled_every, 524_288);
    let stacks: Vec<_> = dump.stacks.iter().map(|stack| stack.addresses.clone()).collect();
    assert_eq!(stacks, [vec![0xf, 0x2e, 0x2f], vec![0x10]]);
    // Of an object of twice the rate, 86 % are sampled; of small ones nearly one in rate / size.
    let values: Vec<_> = dump.stacks.iter().map(|stack| stack.value).collect();
    assert_eq!(values[0], 1_212_696);
    assert!((2 * 524_288..2 * 524_288 + 256).contains(&values[1]), "{}", values[1]);
    assert!(Dump::parse("heap profile: 1: 2 [3: 4] @ heap\n").is_none());
    assert!(Dump::parse("heap_v2/524288\n@ 0xzz\n").is_none());
}
