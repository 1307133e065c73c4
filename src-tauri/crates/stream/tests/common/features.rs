//! How [`Host`] says what it can do.

use super::host::{BIND2, CSI, FAST, Host, SASL, SASL2};
use super::scripted::SM;

/// One element for each name.
fn each(names: &[&str], element: impl Fn(&str) -> String) -> String {
    let elements: Vec<String> = names.iter().map(|name| element(name)).collect();
    elements.concat()
}

fn mechanisms(names: &[&str]) -> String {
    each(names, |name| format!("<mechanism>{name}</mechanism>"))
}

/// The text, if that is so.
fn when(so: bool, text: String) -> String {
    if so { text } else { String::new() }
}

impl Host {
    /// Before authentication.
    pub(crate) fn features(&self) -> String {
        let seen = self.seen.as_ref().unwrap_or(&self.offer);
        let list = mechanisms(&seen.mechanisms);
        let bindings = seen.bindings.as_ref().map(|bindings| {
            let types = each(bindings, |name| format!("<channel-binding type='{name}'/>"));
            format!("<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'>{types}</sasl-channel-binding>")
        });
        let parts = [
            format!("<mechanisms xmlns='{SASL}'>{list}</mechanisms>"),
            bindings.unwrap_or_default(),
            when(
                self.sasl2,
                format!(
                    "<authentication xmlns='{SASL2}'>{list}<inline>{}</inline></authentication>",
                    self.along()
                ),
            ),
        ];
        format!("<stream:features>{}</stream:features>", parts.concat())
    }

    /// What goes along with an authentication.
    fn along(&self) -> String {
        let vars = each(&self.inline, |var| format!("<feature var='{var}'/>"));
        let tokens = mechanisms(&self.tokens);
        [
            when(
                self.bind2,
                format!("<bind xmlns='{BIND2}'><inline>{vars}</inline></bind>"),
            ),
            when(self.resumes_inline, format!("<sm xmlns='{SM}'/>")),
            when(
                !self.tokens.is_empty(),
                format!("<fast xmlns='{FAST}'>{tokens}</fast>"),
            ),
        ]
        .concat()
    }

    /// After authentication.
    pub(crate) fn features_inside(&self) -> String {
        let sm = when(self.manages, format!("<sm xmlns='{SM}'/>"));
        format!(
            "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>{sm}<csi xmlns='{CSI}'/>\
             </stream:features>"
        )
    }
}
