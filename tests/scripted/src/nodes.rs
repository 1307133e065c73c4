//! What a server keeps of its one account's personal eventing (XEP-0163), where a test has it keep anything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use minidom::Element;

use crate::archive::refused;
use crate::server::lock;

const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
const OWNER: &str = "http://jabber.org/protocol/pubsub#owner";
const ERRORS: &str = "http://jabber.org/protocol/pubsub#errors";
const FORMS: &str = "jabber:x:data";

/// Nodes and what is in them; copies are the same nodes. One that is not asked to be open is for contacts only.
#[derive(Clone, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is one oddity of a server")]
pub struct Nodes {
    /// It takes what is published and no notice of the options beside it, as servers do that do not name that feature.
    pub ignores_options: bool,
    /// It says that it has opened a node, and leaves it as it is.
    pub stays_closed: bool,
    /// It refuses any option beside what is published.
    pub refuses_options: bool,
    /// It refuses a form in which `max` stands for a number of items.
    pub without_max: bool,
    /// What is there.
    pub stored: Stored,
}

/// What lies in the nodes.
#[derive(Clone, Default)]
pub struct Stored(Arc<Mutex<BTreeMap<String, Node>>>);

#[derive(Clone, Default)]
struct Node {
    open: bool,
    items: BTreeMap<String, String>,
}

impl Nodes {
    /// Puts an item into a node, which is for contacts only if it was not there.
    pub fn put(&self, node: &str, item: &str, payload: &str) {
        let mut kept = self.kept();
        let node = kept.entry(node.to_owned()).or_default();
        node.items.insert(item.to_owned(), payload.to_owned());
    }

    /// What is in a node.
    pub fn item(&self, node: &str, item: &str) -> Option<String> {
        self.kept().get(node)?.items.get(item).cloned()
    }

    /// What is sent to whoever wants to know what is in a node (XEP-0060 §7.1.2.1).
    pub fn event(&self, of: &str, node: &str) -> Option<String> {
        let kept = self.kept();
        let items = kept.get(node)?.items.iter();
        let items = written(items);
        Some(format!(
            "<message xmlns='jabber:client' from='{of}' type='headline'><event xmlns='{PUBSUB}#event'>\
             <items node='{node}'>{items}</items></event></message>"
        ))
    }

    /// The names of all nodes, and whether everybody can read them.
    pub fn all(&self) -> Vec<(String, bool)> {
        let kept = self.kept();
        kept.iter()
            .map(|(name, node)| (name.clone(), node.open))
            .collect()
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<String, Node>> {
        lock(&self.stored.0)
    }

    /// What is answered to `<pubsub/>`, in a question or not.
    pub(crate) fn answer(&self, pubsub: &Element, asks: bool) -> String {
        let Some(child) = pubsub.children().next() else {
            return refused("bad-request");
        };
        let name = child.attr("node").unwrap_or_default();
        let form = |parent: Option<&Element>| parent.and_then(|parent| parent.get_child("x", FORMS)).cloned();
        match (child.name(), asks) {
            ("items", true) => self.items(name, child),
            ("configure", true) => self.configuration(name),
            ("configure", false) => self.configure(name, form(Some(child)).as_ref()),
            ("publish", false) => {
                let options = form(pubsub.get_child("publish-options", PUBSUB));
                self.publish(name, child, options.filter(|_| !self.ignores_options).as_ref())
            }
            _ => result(""),
        }
    }

    fn items(&self, name: &str, asked: &Element) -> String {
        let kept = self.kept();
        let Some(node) = kept.get(name) else {
            return refused("item-not-found");
        };
        let wanted: Vec<&str> = asked.children().filter_map(|item| item.attr("id")).collect();
        let items = node.items.iter();
        let items = items.filter(|(id, _)| wanted.is_empty() || wanted.contains(&id.as_str()));
        let items = written(items);
        result(&format!(
            "<pubsub xmlns='{PUBSUB}'><items node='{name}'>{items}</items></pubsub>"
        ))
    }

    fn configuration(&self, name: &str) -> String {
        let kept = self.kept();
        let Some(node) = kept.get(name) else {
            return refused("item-not-found");
        };
        let access = if node.open { "open" } else { "presence" };
        result(&format!(
            "<pubsub xmlns='{OWNER}'><configure node='{name}'><x xmlns='{FORMS}' type='form'>\
             <field var='pubsub#access_model'><value>{access}</value></field></x></configure></pubsub>"
        ))
    }

    fn configure(&self, name: &str, form: Option<&Element>) -> String {
        let mut kept = self.kept();
        let (Some(node), Some(form)) = (kept.get_mut(name), form) else {
            return refused("item-not-found");
        };
        if self.without_max && says(form, "pubsub#max_items", "max") {
            return refused("bad-request");
        }
        node.open = says(form, "pubsub#access_model", "open") && !self.stays_closed;
        result("")
    }

    fn publish(&self, name: &str, publish: &Element, options: Option<&Element>) -> String {
        if self.refuses_options && options.is_some() {
            return refused("not-acceptable");
        }
        if self.without_max && options.is_some_and(|form| says(form, "pubsub#max_items", "max")) {
            return refused("bad-request");
        }
        let wants_open = options.is_some_and(|form| says(form, "pubsub#access_model", "open"));
        let mut kept = self.kept();
        if wants_open && kept.get(name).is_some_and(|node| !node.open) {
            return format!(
                "<iq type='error' id='{{id}}'><error type='cancel'>\
                 <conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
                 <precondition-not-met xmlns='{ERRORS}'/></error></iq>"
            );
        }
        let node = kept.entry(name.to_owned()).or_insert_with(|| Node {
            open: wants_open,
            items: BTreeMap::new(),
        });
        for item in publish.children() {
            let payload = item.children().next().map(String::from).unwrap_or_default();
            node.items
                .insert(item.attr("id").unwrap_or_default().to_owned(), payload);
        }
        result("")
    }
}

fn written<'a>(items: impl Iterator<Item = (&'a String, &'a String)>) -> String {
    let items = items.map(|(id, payload)| format!("<item id='{id}'>{payload}</item>"));
    items.collect::<Vec<_>>().concat()
}

fn result(content: &str) -> String {
    format!("<iq type='result' id='{{id}}'>{content}</iq>")
}

/// Whether a form has this value in that field.
fn says(form: &Element, field: &str, value: &str) -> bool {
    let mut fields = form.children().filter(|child| child.attr("var") == Some(field));
    fields.any(|field| field.children().any(|said| said.text() == value))
}
