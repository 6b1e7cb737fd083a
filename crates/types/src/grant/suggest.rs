//! Finds the word that was probably meant.

/// The known word that is closest to a text, if it is close: at most a third of it differs.
pub(super) fn closest(text: &str, known: &[&'static str]) -> Option<&'static str> {
    // No known word is near this length, and the work grows with it.
    if text.len() > 32 {
        return None;
    }
    let text = text.to_ascii_lowercase().replace('_', "-");
    known
        .iter()
        .map(|word| (distance(&text, word), *word))
        .filter(|(distance, word)| distance * 3 <= word.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// How many bytes are to be put in, taken out or changed (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, a) in from.bytes().enumerate() {
        let mut left = index + 1;
        let mut next = vec![left];
        for (b, pair) in to.bytes().zip(row.windows(2)) {
            let [diagonal, above] = pair else { continue };
            left = (diagonal + usize::from(a != b))
                .min(above + 1)
                .min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slip_of_a_key_is_understood() {
        let known = ["allow-net", "allow-dns", "mount"];
        assert_eq!(closest("allow_net", &known), Some("allow-net"));
        assert_eq!(closest("alow-nte", &known), Some("allow-net"));
        assert_eq!(closest("Mounts", &known), Some("mount"));
        assert_eq!(closest("seccomp", &known), None);
        assert_eq!(closest(&"x".repeat(100), &known), None);
    }

    #[test]
    fn distance_counts_changes() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}
