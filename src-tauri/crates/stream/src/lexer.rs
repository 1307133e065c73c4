//! Where in the XML we are, byte by byte: just enough to find elements, attributes and their ends.
//!
//! It does not prove well-formedness (names need not match, attributes may repeat): the parser behind it does.
//! But whatever it lets pass is seen by that parser with the same element boundaries.

use crate::Fatal;

/// What the byte just taken completes or begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Nothing that matters.
    Nothing,
    /// The first byte of a start tag's name.
    Element,
    /// The first byte of an attribute's name.
    Attribute,
    /// The quote that ends an attribute's value.
    AttributeEnd,
    /// The `>` of a start tag.
    Opened,
    /// The `>` of an empty element's tag.
    Empty,
    /// The `>` of an end tag.
    Closed,
    /// The `>` of the XML declaration.
    Declaration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Text,
    TextReference,
    LessThan,
    Name,
    InTag,
    AfterValue,
    AttributeName,
    AfterAttributeName,
    BeforeValue,
    Value(u8),
    ValueReference(u8),
    EmptySlash,
    EndName,
    AfterEndName,
    /// `<!` and so many bytes of `[CDATA[`.
    Cdata(usize),
    CdataText,
    CdataBracket,
    CdataBrackets,
    Declaration,
    DeclarationEnd,
}

/// The state between two bytes.
pub(crate) struct Lexer {
    state: State,
    /// Bytes of the current name or attribute value so far.
    token: usize,
    /// The reference after `&`, without it.
    reference: Vec<u8>,
}

/// `&#x10FFFF;` with some leading zeros.
const LONGEST_REFERENCE: usize = 16;

impl Lexer {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Text,
            token: 0,
            reference: Vec::new(),
        }
    }

    /// The length in bytes of the name or attribute value that we are in; 0 outside.
    pub(crate) fn token(&self) -> usize {
        match self.state {
            State::Name
            | State::AttributeName
            | State::EndName
            | State::Value(_)
            | State::ValueReference(_) => self.token,
            _ => 0,
        }
    }

    pub(crate) fn in_element_name(&self) -> bool {
        self.state == State::Name
    }

    pub(crate) fn in_attribute_name(&self) -> bool {
        self.state == State::AttributeName
    }

    pub(crate) fn in_attribute_value(&self) -> bool {
        matches!(self.state, State::Value(_) | State::ValueReference(_)) && self.token > 0
    }

    /// After `<?`.
    pub(crate) fn in_declaration(&self) -> bool {
        matches!(self.state, State::Declaration | State::DeclarationEnd)
    }

    /// Character data outside any tag (a reference or CDATA included).
    pub(crate) fn in_text(&self) -> bool {
        matches!(
            self.state,
            State::Text
                | State::TextReference
                | State::CdataText
                | State::CdataBracket
                | State::CdataBrackets
        )
    }

    /// Takes the next byte.
    pub(crate) fn step(&mut self, byte: u8) -> Result<Mark, Fatal> {
        match self.state {
            State::Text => self.text(byte),
            State::TextReference => self.reference_byte(byte, State::Text)?,
            State::LessThan => return self.after_less_than(byte),
            State::Name | State::InTag | State::AfterValue | State::EmptySlash => return self.in_tag(byte),
            State::AttributeName | State::AfterAttributeName | State::BeforeValue => self.attribute(byte)?,
            State::Value(quote) => return self.value(byte, quote),
            State::ValueReference(quote) => {
                self.token += 1;
                self.reference_byte(byte, State::Value(quote))?;
            }
            State::EndName | State::AfterEndName => return self.end_tag(byte),
            State::Cdata(_) | State::CdataText | State::CdataBracket | State::CdataBrackets => {
                self.cdata(byte)?;
            }
            State::Declaration => {
                if byte == b'?' {
                    self.state = State::DeclarationEnd;
                }
            }
            State::DeclarationEnd => {
                if byte != b'>' {
                    return Err(Fatal::NotWellFormed);
                }
                self.state = State::Text;
                return Ok(Mark::Declaration);
            }
        }
        Ok(Mark::Nothing)
    }

    fn text(&mut self, byte: u8) {
        match byte {
            b'<' => self.state = State::LessThan,
            b'&' => self.begin_reference(State::TextReference),
            _ => {}
        }
    }

    fn begin_reference(&mut self, state: State) {
        self.reference.clear();
        self.state = state;
    }

    fn reference_byte(&mut self, byte: u8, back: State) -> Result<(), Fatal> {
        if byte != b';' {
            if self.reference.len() >= LONGEST_REFERENCE || !(byte.is_ascii_alphanumeric() || byte == b'#') {
                return Err(Fatal::RestrictedXml);
            }
            self.reference.push(byte);
            return Ok(());
        }
        let known = match self.reference.as_slice() {
            b"lt" | b"gt" | b"amp" | b"apos" | b"quot" => true,
            [b'#', b'x', digits @ ..] => !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit),
            [b'#', digits @ ..] => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
            _ => false,
        };
        if !known {
            return Err(Fatal::RestrictedXml);
        }
        self.state = back;
        Ok(())
    }

    fn after_less_than(&mut self, byte: u8) -> Result<Mark, Fatal> {
        match byte {
            b'/' => {
                self.token = 0;
                self.state = State::EndName;
            }
            b'!' => self.state = State::Cdata(0),
            b'?' => self.state = State::Declaration,
            _ if starts_name(byte) => {
                self.token = 1;
                self.state = State::Name;
                return Ok(Mark::Element);
            }
            _ => return Err(Fatal::NotWellFormed),
        }
        Ok(Mark::Nothing)
    }

    /// Inside a start tag, outside attributes.
    fn in_tag(&mut self, byte: u8) -> Result<Mark, Fatal> {
        if self.state == State::EmptySlash {
            if byte != b'>' {
                return Err(Fatal::NotWellFormed);
            }
            self.state = State::Text;
            return Ok(Mark::Empty);
        }
        match byte {
            b'>' => {
                self.state = State::Text;
                return Ok(Mark::Opened);
            }
            b'/' => self.state = State::EmptySlash,
            _ if is_space(byte) => self.state = State::InTag,
            _ if self.state == State::Name && continues_name(byte) => self.token += 1,
            _ if self.state == State::InTag && starts_name(byte) => {
                self.token = 1;
                self.state = State::AttributeName;
                return Ok(Mark::Attribute);
            }
            _ => return Err(Fatal::NotWellFormed),
        }
        Ok(Mark::Nothing)
    }

    /// From the attribute's name to the quote before its value.
    fn attribute(&mut self, byte: u8) -> Result<(), Fatal> {
        let before_equals = self.state != State::BeforeValue;
        match byte {
            b'=' if before_equals => self.state = State::BeforeValue,
            b'\'' | b'"' if !before_equals => {
                self.token = 0;
                self.state = State::Value(byte);
            }
            _ if is_space(byte) => {
                if self.state == State::AttributeName {
                    self.state = State::AfterAttributeName;
                }
            }
            _ if self.state == State::AttributeName && continues_name(byte) => self.token += 1,
            _ => return Err(Fatal::NotWellFormed),
        }
        Ok(())
    }

    fn value(&mut self, byte: u8, quote: u8) -> Result<Mark, Fatal> {
        match byte {
            _ if byte == quote => {
                self.state = State::AfterValue;
                return Ok(Mark::AttributeEnd);
            }
            b'<' => return Err(Fatal::NotWellFormed),
            b'&' => self.begin_reference(State::ValueReference(quote)),
            _ => {}
        }
        self.token += 1;
        Ok(Mark::Nothing)
    }

    fn end_tag(&mut self, byte: u8) -> Result<Mark, Fatal> {
        match byte {
            b'>' if self.token > 0 => {
                self.state = State::Text;
                return Ok(Mark::Closed);
            }
            _ if is_space(byte) && self.token > 0 => self.state = State::AfterEndName,
            _ if self.state == State::EndName && continues_name(byte) => self.token += 1,
            _ => return Err(Fatal::NotWellFormed),
        }
        Ok(Mark::Nothing)
    }

    /// `<!` may only begin a CDATA section: comments and document types are forbidden (RFC 6120 §11.1).
    fn cdata(&mut self, byte: u8) -> Result<(), Fatal> {
        const OPENING: &[u8] = b"[CDATA[";
        self.state = match (self.state, byte) {
            (State::Cdata(seen), _) => {
                if OPENING.get(seen) != Some(&byte) {
                    return Err(Fatal::RestrictedXml);
                }
                if seen + 1 == OPENING.len() {
                    State::CdataText
                } else {
                    State::Cdata(seen + 1)
                }
            }
            (State::CdataText, b']') => State::CdataBracket,
            (State::CdataBracket | State::CdataBrackets, b']') => State::CdataBrackets,
            (State::CdataBrackets, b'>') => State::Text,
            _ => State::CdataText,
        };
        Ok(())
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Everything outside ASCII is left to the parser.
fn starts_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte == b':' || !byte.is_ascii()
}

fn continues_name(byte: u8) -> bool {
    starts_name(byte) || byte.is_ascii_digit() || byte == b'-' || byte == b'.'
}
