//! What a client lets a server know of itself.

/// The names by which a client makes itself known in what it said: resources, installations (XEP-0388), OMEMO devices.
pub fn names_told(heard: &str) -> Vec<String> {
    let mut names: Vec<String> = [
        ("<resource>", "<"),
        ("<user-agent id='", "'"),
        ("<user-agent xmlns='urn:xmpp:sasl:2' id='", "'"),
        ("<device id='", "'"),
        ("<device id=\"", "\""),
    ]
    .into_iter()
    .flat_map(|(before, after)| {
        heard
            .split(before)
            .skip(1)
            .filter_map(move |rest| rest.split(after).next())
            .map(str::to_owned)
    })
    .collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_found_once() {
        let heard = "<bind><resource>Waxwing.x</resource></bind><list><device id='7'/><device id=\"8\"/></list>\
                     <list><device id='7'/></list>";
        assert_eq!(names_told(heard), ["7", "8", "Waxwing.x"]);
    }
}
