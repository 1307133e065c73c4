//! What goes along with an authentication (XEP-0388): resuming (XEP-0198 §9) or binding (XEP-0386), stream management,
//! carbons and client state with it, and a token for the next time (XEP-0484).

use jid::BareJid;
use minidom::Element;

use crate::binding::Channel;
use crate::fast::{self, Ticket};
use crate::offer::texts;
use crate::start::Enabled;
use crate::{BoundAddress, ConnectError, FastToken, Login, xml};

/// What is seen in lists of devices and at the beginning of the resource.
const SOFTWARE: &str = "Waxwing";

/// What the server does along with an authentication.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Inline {
    pub(crate) resume: bool,
    pub(crate) bind: Option<Bind>,
    /// Mechanisms for tokens.
    pub(crate) tokens: Vec<String>,
}

/// What goes along with binding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Bind {
    /// Stream management.
    enable: bool,
    pub(crate) carbons: bool,
    /// Client state indication.
    pub(crate) csi: bool,
}

impl Inline {
    /// What the features say.
    pub(crate) fn offered(features: &Element) -> Self {
        let inline = features
            .get_child("authentication", xml::SASL2)
            .and_then(|authentication| authentication.get_child("inline", xml::SASL2));
        let Some(inline) = inline else {
            return Self::default();
        };
        Self {
            resume: inline.has_child("sm", xml::SM),
            bind: inline.get_child("bind", xml::BIND2).map(Bind::offered),
            tokens: texts(inline.get_child("fast", xml::FAST), "mechanism"),
        }
    }

    /// Without tokens that bind to nothing, where the password's proof is bound: they would undo that.
    pub(crate) fn with_tokens(mut self, bound: bool) -> Self {
        self.tokens.retain(|name| !bound || name != fast::UNBOUND);
        self
    }

    /// What a server is taken to do that once gave us a token, before it has said so this time.
    pub(crate) fn assumed() -> Self {
        Self {
            resume: true,
            bind: Some(Bind {
                enable: true,
                carbons: true,
                csi: true,
            }),
            tokens: Vec::new(),
        }
    }
}

impl Bind {
    fn offered(bind: &Element) -> Self {
        // XEP-0386 has them in an `<inline/>` of its own, the examples of XEP-0198 §9.3 without.
        let within = bind.get_child("inline", xml::BIND2).unwrap_or(bind);
        let does = |name| within.children().any(|feature| feature.attr("var") == Some(name));
        Self {
            enable: does(xml::SM),
            carbons: does(xml::CARBONS),
            csi: does(xml::CSI),
        }
    }

    fn written(self, inactive: bool) -> String {
        let carbons = format!("<enable xmlns='{}'/>", xml::CARBONS);
        let enable = format!("<enable xmlns='{}' resume='true'/>", xml::SM);
        let inactive = (self.csi && inactive).then(|| format!("<inactive xmlns='{}'/>", xml::CSI));
        let parts = [
            Some(format!("<bind xmlns='{}'><tag>{SOFTWARE}</tag>", xml::BIND2)),
            Some(carbons).filter(|_| self.carbons),
            Some(enable).filter(|_| self.enable),
            inactive,
            Some("</bind>".to_owned()),
        ];
        parts.into_iter().flatten().collect()
    }
}

/// What was asked for along with an authentication.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Along {
    resume: bool,
    bind: Option<Bind>,
    /// The mechanism that a token was asked for.
    token: Option<String>,
    /// All of it, for the request.
    pub(crate) xml: String,
}

impl Along {
    /// `resume` is the session to go on with, with our count.
    pub(crate) fn ask(
        inline: &Inline,
        login: &Login,
        channel: &Channel,
        resume: Option<(&str, u32)>,
        ticket: Option<&Ticket<'_>>,
    ) -> Self {
        let resumes = resume.filter(|_| inline.resume);
        let token = match ticket {
            // The server ties a token to its mechanism; a better one is asked for with the next password.
            Some(ticket) => (ticket.old && !login.invalidate_token).then_some(ticket.mechanism),
            None => fast::best(&inline.tokens, channel),
        };
        let token = token.filter(|_| login.user_agent.is_some());
        let mut along = Self {
            resume: resumes.is_some(),
            // A session that can only be resumed after the authentication must not be replaced by it.
            bind: inline.bind.filter(|_| resume.is_none() || resumes.is_some()),
            token: token.map(str::to_owned),
            xml: String::new(),
        };
        along.xml = along.written(login, resumes, ticket.is_some());
        along
    }

    fn written(&self, login: &Login, resume: Option<(&str, u32)>, by_token: bool) -> String {
        let agent = login.user_agent.as_deref().map(|id| {
            let id = xml::escape(id);
            format!("<user-agent id='{id}'><software>{SOFTWARE}</software></user-agent>")
        });
        let resume = resume.map(|(id, handled)| {
            let (ns, id) = (xml::SM, xml::escape(id));
            format!("<resume xmlns='{ns}' h='{handled}' previd='{id}'/>")
        });
        let bind = self.bind.map(|bind| bind.written(login.inactive));
        let invalidate = if login.invalidate_token {
            " invalidate='true'"
        } else {
            ""
        };
        let fast = by_token.then(|| format!("<fast xmlns='{}'{invalidate}/>", xml::FAST));
        let token = self.token.as_ref().map(|mechanism| {
            let ns = xml::FAST;
            format!("<request-token xmlns='{ns}' mechanism='{mechanism}'/>")
        });
        let parts = [agent, resume, bind, fast, token];
        parts.into_iter().flatten().collect()
    }

    /// Reads what became of it. `ticket` is the token that was used.
    pub(crate) fn read(
        &self,
        success: &Element,
        login: &Login,
        ticket: Option<&str>,
    ) -> Result<Outcome, ConnectError> {
        let identifier = success.get_child("authorization-identifier", xml::SASL2);
        let identifier = identifier.map(Element::text).unwrap_or_default();
        let bare = identifier.trim().split('/').next().unwrap_or_default();
        let bare: BareJid = bare
            .parse()
            .map_err(|_| ConnectError::Protocol("a login without an address"))?;
        if bare != login.address {
            return Err(ConnectError::Protocol("logged in as somebody else"));
        }
        let mechanism = self.token.as_deref().or(ticket);
        let token = mechanism.and_then(|mechanism| fast::granted(success, mechanism));
        let sm = |name: &str| success.get_child(name, xml::SM);
        let begun = if let Some(resumed) = sm("resumed") {
            if !self.resume {
                return Err(ConnectError::Protocol("resumed unasked"));
            }
            Begun::Resumed(resumed.clone())
        } else if let Some(bound) = success.get_child("bound", xml::BIND2) {
            let Some(asked) = self.bind else {
                return Err(ConnectError::Protocol("bound unasked"));
            };
            Begun::Bound(Bound {
                jid: identifier
                    .trim()
                    .parse()
                    .map_err(|_| ConnectError::Protocol("a resource binding without an address"))?,
                enabled: bound.get_child("enabled", xml::SM).map(Enabled::of),
                refused: bound.has_child("failed", xml::SM),
                carbons: asked.carbons,
            })
        } else {
            Begun::Nothing
        };
        Ok(Outcome {
            begun,
            failed: sm("failed").cloned(),
            token,
        })
    }
}

/// What came of an authentication.
pub(crate) struct Outcome {
    pub(crate) begun: Begun,
    /// The session could not be resumed.
    pub(crate) failed: Option<Element>,
    pub(crate) token: Option<FastToken>,
}

/// Which session came of it.
pub(crate) enum Begun {
    /// None yet.
    Nothing,
    /// The old one; the `<resumed/>`.
    Resumed(Element),
    /// A new one.
    Bound(Bound),
}

/// A new session.
pub(crate) struct Bound {
    pub(crate) jid: BoundAddress,
    pub(crate) enabled: Option<Enabled>,
    /// Stream management was asked for in vain.
    pub(crate) refused: bool,
    /// Carbons were asked for.
    pub(crate) carbons: bool,
}
