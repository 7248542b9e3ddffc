use super::*;

#[test]
fn the_same_seed_gives_the_same_sequence() {
    let draw = |seed| {
        let random = SeededRandomness::new(seed);
        (random.next_u64(), random.below(10), random.bytes(5))
    };
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
}

#[test]
fn bounds_hold() {
    let random = SeededRandomness::new(1);
    assert!((0..1000).all(|_| random.below(3) < 3));
    assert_eq!(random.below(0), 0);
    assert!((0..1000).all(|_| !random.chance(0) && random.chance(100)));
}
