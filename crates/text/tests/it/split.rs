//! The parts into which texts are split.

use postduif_text::{Count, parts};

#[test]
fn a_text_of_one_part_stays_whole() {
    for text in [
        "",
        "Hallo",
        &"a".repeat(160),
        &"€".repeat(80),
        &"🎉".repeat(35),
    ] {
        assert_eq!(parts(text).collect::<Vec<_>>(), [text]);
    }
}

#[test]
fn an_escape_pair_is_never_split() {
    let text = "]".repeat(153);
    let sizes: Vec<_> = parts(&text).map(str::len).collect();
    assert_eq!(sizes, [76, 76, 1]);
}

#[test]
fn a_surrogate_pair_is_never_split() {
    let text = "🎉".repeat(70);
    let sizes: Vec<_> = parts(&text).map(|piece| piece.chars().count()).collect();
    assert_eq!(sizes, [33, 33, 4]);
}

#[test]
fn cr_lf_may_be_split() {
    // Two characters to the standard, and billed so: it takes septets 153 and 154.
    let text = format!("{}\r\n{}", "a".repeat(152), "b".repeat(10));
    let pieces: Vec<_> = parts(&text).collect();
    assert!(pieces[0].ends_with('\r') && pieces[1].starts_with('\n'));
}

#[test]
fn a_part_that_would_be_gsm_by_itself_is_split_as_ucs2() {
    let text = "a".repeat(100) + "ж";
    let sizes: Vec<_> = parts(&text).map(str::len).collect();
    assert_eq!(sizes, [67, 35]);
}

#[test]
fn the_number_of_parts_left_is_known_at_every_step() {
    let text = "[".repeat(400);
    let mut pieces = parts(&text);
    for remaining in (0..Count::of(&text).parts()).rev() {
        assert!(pieces.next().is_some());
        assert_eq!(pieces.len(), remaining);
    }
    assert_eq!((pieces.next(), pieces.next()), (None, None));
}
