//! The text that carries a pass, as the phone shows it.
//!
//! > Hallo Anna de Vries, welkom! Je code X7k+q2Rm geldt tot 23-11-2026 10:00. Log in met je werkaccount en
//! > deze code. Alleen de nieuwste sms telt.
//!
//! It names no sign-in name: whoever holds the phone would then hold all there is. The pass stands between
//! spaces, since it may itself end in a `!`, and is never changed.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use postduif_core::{Count, Encoding, Text, TextError};

/// Puts the pass into a text of one part wherever its length allows that.
///
/// With the usual pass of eight characters there is room for a name of thirty; a longer one is cut. A name
/// with a character outside GSM 03.38 would make it a text of several parts, so it is left out. For a longer
/// pass first the last sentence goes, then the name.
pub(crate) fn compose(
    name: Option<&str>,
    pass: &str,
    valid_until: DateTime<Utc>,
    zone: Tz,
) -> Result<Text, TextError> {
    let until = valid_until.with_timezone(&zone).format("%d-%m-%Y %H:%M");
    let code = format!(" geldt tot {until}. Log in met je werkaccount en deze code.");
    let name = name.and_then(presentable).unwrap_or_default();
    let room = |hint: &str| {
        let taken = [BEFORE, AFTER, CODE, pass, &code, hint]
            .map(septets)
            .into_iter()
            .sum::<Option<usize>>();
        taken.and_then(|taken| ONE_PART.checked_sub(taken))
    };
    let wanted = name.chars().take(NAME).collect::<String>();
    let wanted = septets(&wanted).unwrap_or_default();
    let hint = match room(HINT) {
        Some(room) if room > wanted => HINT,
        _ => "",
    };
    // One septet of the room is for the space in front of the name.
    let name = shortened(&name, room(hint).unwrap_or_default().saturating_sub(1));
    let space = if name.is_empty() { "" } else { " " };
    let parts = [BEFORE, space, name, AFTER, CODE, pass, &code, hint];
    // Of the right size at once: a string that grows leaves copies of the pass behind.
    let mut text = String::with_capacity(parts.iter().map(|part| part.len()).sum());
    parts.into_iter().for_each(|part| text.push_str(part));
    Text::new(text)
}

const BEFORE: &str = "Hallo";
const AFTER: &str = ", welkom! ";
const CODE: &str = "Je code ";
const HINT: &str = " Alleen de nieuwste sms telt.";

/// The septets of a text of one part (3GPP TS 23.038).
const ONE_PART: usize = 160;

/// The characters of a name that matter more than the last sentence does.
const NAME: usize = 30;

/// The name in one line, where a text of GSM characters can hold it.
fn presentable(name: &str) -> Option<String> {
    let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
    let fits = !name.chars().any(char::is_control) && septets(&name).is_some();
    fits.then_some(name)
}

/// The name's beginning that takes no more than so many septets.
fn shortened(name: &str, septets_left: usize) -> &str {
    let ends = name
        .char_indices()
        .map(|(start, char)| start + char.len_utf8());
    let longest = ends
        .take_while(|&end| septets(&name[..end]).is_some_and(|taken| taken <= septets_left))
        .last();
    name[..longest.unwrap_or_default()].trim_end()
}

fn septets(text: &str) -> Option<usize> {
    let count = Count::of(text);
    (count.encoding() == Encoding::Gsm7).then_some(count.units())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASS: &str = "X7k+q2Rm";

    fn text(name: &str, pass: &str) -> Text {
        let until = DateTime::parse_from_rfc3339("2026-11-23T09:00:59Z").unwrap();
        let name = Some(name).filter(|name| *name != "none");
        compose(name, pass, until.to_utc(), Tz::Europe__Amsterdam).unwrap()
    }

    #[test]
    fn it_greets_and_tells_pass_and_end_in_the_readers_time() {
        assert_eq!(
            text("Anna de Vries", PASS).as_str(),
            "Hallo Anna de Vries, welkom! Je code X7k+q2Rm geldt tot 23-11-2026 10:00. \
             Log in met je werkaccount en deze code. Alleen de nieuwste sms telt."
        );
    }

    #[test]
    fn summer_time_is_told_as_such() {
        let until = DateTime::parse_from_rfc3339("2026-07-01T09:00:00Z").unwrap();
        let text = compose(None, PASS, until.to_utc(), Tz::Europe__Amsterdam).unwrap();
        assert!(text.as_str().contains("tot 01-07-2026 11:00."));
    }

    #[test]
    fn it_reads_well_without_a_name() {
        for name in ["none", "", "  \n ", "Zoë", "Иван", "Anna 🕊", "A\u{7}b"] {
            let text = text(name, PASS);
            assert!(
                text.as_str()
                    .starts_with("Hallo, welkom! Je code X7k+q2Rm "),
                "{name:?}"
            );
            assert_eq!(text.count().parts(), 1);
        }
    }

    #[test]
    fn a_name_of_thirty_fits_into_one_part_with_every_sentence() {
        let name = "Wilhelmina-Maria van den Bergh";
        assert_eq!(name.len(), 30);
        let text = text(name, PASS);
        assert!(text.as_str().contains(name) && text.as_str().ends_with("sms telt."));
        assert_eq!(text.count().parts(), 1);
    }

    #[test]
    fn a_longer_name_is_cut_and_the_pass_never() {
        for length in 31..256 {
            for letter in ["x", "é", "€"] {
                let text = text(&letter.repeat(length), PASS);
                assert!(text.as_str().contains(" X7k+q2Rm geldt "), "{length}");
                assert!(text.as_str().contains(letter));
                assert_eq!(text.count().parts(), 1, "{length} {letter}");
            }
        }
    }

    #[test]
    fn a_name_in_several_lines_is_one_line() {
        assert!(
            text("Anna\r\nde\tVries", PASS)
                .as_str()
                .contains("Anna de Vries,")
        );
    }

    #[test]
    fn any_pass_stands_between_spaces_in_one_part() {
        for length in 8..=48 {
            for name in ["none", "Anna de Vries", "Wilhelmina-Maria van den Bergh"] {
                let pass = "Aa1+!{".chars().cycle().take(length).collect::<String>();
                let text = text(name, &pass);
                assert!(text.as_str().contains(&format!("Je code {pass} geldt")));
                assert_eq!(text.count().parts(), 1, "{length} {name}");
                assert!(!text.as_str().contains('\n'));
            }
        }
    }

    #[test]
    fn a_pass_that_never_ends_is_told_without_a_panic() {
        let end = DateTime::<Utc>::MAX_UTC;
        assert!(compose(Some("Anna"), PASS, end, Tz::Europe__Amsterdam).is_ok());
    }
}
