use std::collections::BTreeSet;

use proptest::prelude::*;
use vivace_base::ByteSize;
use vivace_model::TimeRange;

use super::*;

const HOUR: u64 = 3_600_000_000_000;
const MINUTE: u64 = HOUR / 60;
const WINDOW: Duration = Duration::from_secs(3600);

fn options() -> CompactionOptions {
    CompactionOptions { target_rows: 1000, target_bytes: ByteSize::from_bytes(100_000), ..Default::default() }
}

/// A block cut at this minute of the day, of spans of the minute before.
fn cut(minute: u64, rows: u64) -> BlockMeta {
    let end = minute * MINUTE;
    BlockMeta {
        id: format!("{:012x}{:020x}", end / 1_000_000, minute).parse().expect("valid"),
        rows,
        traces: rows / 10 + 1,
        bytes: rows * 35,
        range: TimeRange { start: end.saturating_sub(MINUTE), end },
        format: schema::FORMAT,
        wal: None,
        level: 0,
        stored: end,
        file: None,
    }
}

fn jobs(blocks: &[BlockMeta], minute: u64) -> Vec<Job> {
    plan(blocks, minute * MINUTE, WINDOW, &options())
}

fn minutes(job: &Job) -> Vec<u64> {
    job.inputs.iter().map(|block| block.stored / MINUTE).collect()
}

/// What a job makes of its inputs, at best and at worst without duplicates among them.
fn done(job: &Job, number: u64) -> BlockMeta {
    let range = job.inputs.iter().map(|block| block.range).reduce(|a, b| a.union(&b)).expect("inputs");
    let sum = |of: fn(&BlockMeta) -> u64| job.inputs.iter().map(of).sum();
    BlockMeta {
        id: format!("{:032x}", u128::from(number) | 1 << 127).parse().expect("valid"),
        rows: sum(|b| b.rows),
        traces: sum(|b| b.traces),
        bytes: sum(|b| b.bytes),
        range,
        format: schema::FORMAT,
        wal: None,
        level: job.level,
        stored: job.inputs.iter().map(|block| block.stored).max().expect("inputs"),
        file: None,
    }
}

#[test]
fn an_open_window_waits_for_several_blocks() {
    let cuts: Vec<_> = (1..=8).map(|minute| cut(minute, 10)).collect();
    assert_eq!(jobs(&cuts[..7], 9), []);
    let planned = jobs(&cuts, 9);
    assert_eq!(planned.len(), 1);
    assert_eq!((minutes(&planned[0]), planned[0].level), ((1..=8).collect(), 1));
}

#[test]
fn enough_for_a_large_block_is_merged_at_once_and_for_good() {
    let cuts: Vec<_> = (1..=5).map(|minute| cut(minute, 300)).collect();
    let planned = jobs(&cuts, 6);
    assert_eq!(
        planned.iter().map(minutes).collect::<Vec<_>>(),
        [vec![1, 2, 3]],
        "two more do not make a large one"
    );
    assert!(options().is_final(&done(&planned[0], 1)));
}

#[test]
fn a_closed_window_is_merged_once_it_is_quiet() {
    let cuts = [cut(50, 10), cut(59, 10), cut(61, 10)];
    assert_eq!(jobs(&cuts, 69), []);
    let planned = jobs(&cuts, 70);
    assert_eq!(planned.iter().map(minutes).collect::<Vec<_>>(), [[50, 59]]);
    // Spans of the first hour that came at minute 75.
    let mut late = cut(75, 10);
    late.range = cut(30, 10).range;
    let with_late = [cut(50, 10), late];
    assert_eq!(jobs(&with_late, 84), []);
    assert_eq!(jobs(&with_late, 85).len(), 1);
}

#[test]
fn the_newest_window_comes_first() {
    let cuts: Vec<_> = [10, 20, 130, 140, 70, 80].map(|minute| cut(minute, 10)).into();
    let planned = jobs(&cuts, 1000);
    assert_eq!(planned.iter().map(minutes).collect::<Vec<_>>(), [[130, 140], [70, 80], [10, 20]]);
}

#[test]
fn large_blocks_and_those_merged_twice_are_left_alone() {
    let mut merged_twice = cut(3, 10);
    merged_twice.level = 2;
    let mut large_in_bytes = cut(4, 10);
    large_in_bytes.bytes = 50_000;
    assert_eq!(jobs(&[cut(1, 500), cut(2, 10), merged_twice, large_in_bytes], 1000), []);
}

#[test]
fn a_clock_that_is_wrong_moves_no_block_to_another_window() {
    let mut ahead = cut(10, 10);
    ahead.range.end = 1_000_000 * HOUR;
    let mut behind = cut(20, 10);
    behind.range.start = 0;
    assert_eq!(
        jobs(&[ahead, behind, cut(30, 10)], 1000).iter().map(minutes).collect::<Vec<_>>(),
        [[20, 10, 30]]
    );
}

#[test]
fn blocks_of_an_older_format_are_rewritten_last() {
    let mut old = cut(10, 600);
    old.format -= 1;
    let mut old_and_alone = cut(70, 10);
    old_and_alone.format -= 1;
    let planned = jobs(&[old, old_and_alone, cut(130, 10), cut(131, 10)], 1000);
    assert_eq!(planned.iter().map(minutes).collect::<Vec<_>>(), [vec![130, 131], vec![70], vec![10]]);
    assert_eq!(planned.iter().map(|job| job.level).collect::<Vec<_>>(), [1, 0, 0]);
}

fn any_block() -> impl Strategy<Value = (u64, u64, u64, u32, u32)> {
    (1..600_u64, 1..1200_u64, 0..120_u64, 0..3_u32, 0..2_u32)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Blocks come while the jobs are done. Nothing is lost, nothing grows too large, no span is written more than
    /// twice, and it ends.
    #[test]
    fn it_converges(arriving in prop::collection::vec(any_block(), 0..200), max_inputs in 2..40_usize) {
        let options = CompactionOptions { max_inputs, ..options() };
        let mut blocks: Vec<BlockMeta> = Vec::new();
        let (mut now, mut rows, mut written, mut number) = (0, 0, 0, 0_u64);
        let mut all: Vec<_> = arriving.into_iter().zip(1_u64..).map(|((minute, rows, length, level, age), number)| {
            let mut block = cut(minute, rows);
            block.id = format!("{number:032x}").parse().expect("valid");
            block.range.start = block.range.end.saturating_sub(length * MINUTE);
            (block.level, block.format) = (level, schema::FORMAT - age);
            block
        }).collect();
        all.sort_by_key(|block| block.stored);
        let mut arriving = all.into_iter().peekable();
        let mut quiet = false;
        while !quiet {
            now += 30 * MINUTE;
            while let Some(block) = arriving.next_if(|block| block.stored <= now) {
                rows += block.rows;
                blocks.push(block);
            }
            quiet = arriving.peek().is_none() && now > 24 * HOUR;
            loop {
                let planned = plan(&blocks, now, WINDOW, &options);
                let mut seen = BTreeSet::new();
                for job in &planned {
                    prop_assert!(job.inputs.len() <= max_inputs.max(2));
                    for block in &job.inputs {
                        prop_assert!(seen.insert(block.id), "{} is in two jobs", block.id);
                        prop_assert!(!options.is_final(block) || block.format < schema::FORMAT);
                    }
                }
                prop_assert!(planned.iter().filter(|job| job.inputs.len() > 1).is_sorted_by(|a, b| a.window >= b.window));
                let Some(job) = planned.into_iter().next() else { break };
                number += 1;
                let output = done(&job, number);
                prop_assert!(output.level <= FINAL_LEVEL);
                prop_assert!(job.inputs.len() == 1 || (output.rows <= options.target_rows && output.bytes <= options.target_bytes.bytes()));
                written += output.rows;
                blocks.retain(|block| !seen.is_empty() && !job.inputs.iter().any(|input| input.id == block.id));
                blocks.push(output);
            }
        }
        prop_assert_eq!(blocks.iter().map(|block| block.rows).sum::<u64>(), rows, "no block is lost");
        // Every block may also be rewritten once for its format.
        prop_assert!(written <= 3 * rows, "{} written of {}", written, rows);
        prop_assert!(blocks.iter().all(|block| block.format == schema::FORMAT));
    }
}
