//! MQTT 5's properties of a CONNECT and of its will: checked once, then walked without a copy.

use std::fmt;

use super::{Fault, reader::Reader};

/// Which table of properties applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// 3.1.2.11
    Connect,
    /// 3.1.3.2
    Will,
}

/// Properties that were found legal where they stand.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Properties<'a> {
    place: Place,
    bytes: &'a [u8],
}

/// One property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Property<'a> {
    /// The identifier (MQTT 5, table 2-4).
    pub id: u8,
    /// What it says.
    pub value: Value<'a>,
}

/// What a property says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// One, two or four bytes.
    Number(u32),
    /// A string.
    Text(&'a str),
    /// Any bytes.
    Binary(&'a [u8]),
    /// A user property's name and value.
    Pair(&'a str, &'a str),
}

impl<'a> Properties<'a> {
    pub(super) fn empty(place: Place) -> Self {
        Self { place, bytes: &[] }
    }

    /// Reads and checks a length and as many bytes of properties.
    pub(super) fn read(reader: &mut Reader<'a>, place: Place) -> Result<Self, Fault> {
        let length = reader.varint()?;
        let bytes = reader.take(length)?;
        let (mut inner, mut seen) = (Reader::new(bytes), 0_u64);
        while !inner.is_empty() {
            let Property { id, value } = Property::read(&mut inner, place)?;
            let bit = 1 << id; // every identifier of the tables is below 64
            if seen & bit != 0 && !matches!(value, Value::Pair(..)) {
                return Err(Fault::PropertyTwice(id));
            }
            seen |= bit;
        }
        if seen & 1 << AUTHENTICATION_DATA != 0 && seen & 1 << AUTHENTICATION_METHOD == 0 {
            return Err(Fault::DataWithoutMethod); // 3.1.2.11.10
        }
        Ok(Self { place, bytes })
    }

    /// The properties in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = Property<'a>> + use<'a> {
        let (mut reader, place) = (Reader::new(self.bytes), self.place);
        // Checked when they were read, so the only end is the end.
        std::iter::from_fn(move || Property::read(&mut reader, place).ok())
    }
}

impl fmt::Debug for Properties<'_> {
    /// Shows which there are; authentication data and user properties may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|property| property.id)).finish()
    }
}

const AUTHENTICATION_METHOD: u8 = 0x15;
const AUTHENTICATION_DATA: u8 = 0x16;

/// A property's type, and the values that it may not have.
enum Kind {
    Flag,
    U16,
    U16NotZero,
    U32,
    U32NotZero,
    Text,
    Binary,
    Pair,
}

impl Kind {
    fn of(place: Place, id: u8) -> Option<Self> {
        Some(match (place, id) {
            (Place::Connect, 0x11) => Self::U32,                   // session expiry interval
            (Place::Connect, AUTHENTICATION_METHOD) => Self::Text, //
            (Place::Connect, AUTHENTICATION_DATA) => Self::Binary, //
            (Place::Connect, 0x17) => Self::Flag,                  // request problem information
            (Place::Connect, 0x19) => Self::Flag,                  // request response information
            (Place::Connect, 0x21) => Self::U16NotZero,            // receive maximum
            (Place::Connect, 0x22) => Self::U16,                   // topic alias maximum
            (Place::Connect, 0x27) => Self::U32NotZero,            // maximum packet size
            (Place::Will, 0x01) => Self::Flag,                     // payload format indicator
            (Place::Will, 0x02) => Self::U32,                      // message expiry interval
            (Place::Will, 0x03) => Self::Text,                     // content type
            (Place::Will, 0x08) => Self::Text,                     // response topic
            (Place::Will, 0x09) => Self::Binary,                   // correlation data
            (Place::Will, 0x18) => Self::U32,                      // will delay interval
            (Place::Connect | Place::Will, 0x26) => Self::Pair,    // user property
            _ => return None,
        })
    }
}

impl<'a> Property<'a> {
    fn read(reader: &mut Reader<'a>, place: Place) -> Result<Self, Fault> {
        let id = reader.u8()?;
        let kind = Kind::of(place, id).ok_or(Fault::PropertyUnknown(id))?; // 2.2.2.2
        let value = match kind {
            Kind::Flag => Value::Number(reader.u8()?.into()),
            Kind::U16 | Kind::U16NotZero => Value::Number(reader.u16()?.into()),
            Kind::U32 | Kind::U32NotZero => Value::Number(reader.u32()?),
            Kind::Text => Value::Text(reader.text()?),
            Kind::Binary => Value::Binary(reader.binary()?),
            Kind::Pair => Value::Pair(reader.text()?, reader.text()?),
        };
        match (kind, value) {
            (Kind::Flag, Value::Number(2..)) | (Kind::U16NotZero | Kind::U32NotZero, Value::Number(0)) => {
                Err(Fault::PropertyValue(id))
            }
            _ => Ok(Self { id, value }),
        }
    }
}
