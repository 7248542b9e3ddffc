use vivace_base::ByteSize;

use super::*;

fn count(column: &mut Column, value: i64, memory: &mut Memory) {
    let mut key = Vec::new();
    Operand::Int(value).encode(&mut key);
    column.count(key, &Value::Int(value), |counts| counts.entry(0).or_default().add(1.0), memory).unwrap();
}

#[test]
fn too_many_values_are_too_many_however_they_are_merged() {
    let budget = MemoryBudget::new(ByteSize::from_mib(16));
    let mut memory = Memory::new(&budget).unwrap();
    let (mut left, mut right) = (Column::default(), Column::default());
    (0..600).for_each(|value| count(&mut left, value, &mut memory));
    (400..1_000).for_each(|value| count(&mut right, value, &mut memory));
    left.merge(right, &mut memory).unwrap();
    assert_eq!((left.values.len(), left.overflowed), (1_000, false));
    count(&mut left, 1_000, &mut memory);
    assert_eq!((left.values.len(), left.overflowed), (0, true));
}
