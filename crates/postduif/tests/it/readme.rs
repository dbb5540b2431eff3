mod unit_test;

#[test]
fn the_unit_test_of_the_readme_is_one_that_runs() {
    let readme = include_str!("../../README.md");
    let block = format!("```rust\n{}```\n", include_str!("readme/unit_test.rs"));
    assert!(readme.contains(&block), "the README has another one");
}
