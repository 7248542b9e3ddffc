//! `docs/traceql.md` shows only queries that are valid, in the chapters that are served one by one.

use vivace_traceql::parse_validated;

const GUIDE: &str = include_str!("../../../../docs/traceql.md");

#[test]
fn every_example_of_the_guide_is_valid() {
    let mut in_example = false;
    let mut examples = 0;
    for line in GUIDE.lines() {
        match line {
            "```traceql" => in_example = true,
            "```" => in_example = false,
            query if in_example => {
                parse_validated(query).unwrap_or_else(|error| panic!("{query}\n{error}"));
                examples += 1;
            }
            _ => {}
        }
    }
    assert!(!in_example, "an example is not closed");
    assert!(examples >= 40, "only {examples} examples");
}

#[test]
fn the_guide_has_the_chapters_that_are_served() {
    let chapters: Vec<_> = GUIDE.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(chapters, ["Basics", "Aggregates", "Structural operators", "Metrics"]);
}
