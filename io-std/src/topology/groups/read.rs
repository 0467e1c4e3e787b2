//! Reading a file of groups.

use std::{collections::BTreeSet, net::SocketAddr};

use samanea_core::{
    base::{GroupId, Hash32, MemberKey},
    rain::audience,
};

use super::{
    CONTACTS_MAX, GROUPS_MAX, Group, Groups, Join, Listed, MEMBERS_MAX,
    names::{ALLOWED, from_name, hash_from_hex, key_from_hex, role_from_name, roles},
};
use crate::topology::json::{Error, Value, similar};

const KEYS: &[&str] = &["epoch", "groups", "join", "members", "seed"];
const MEMBER_KEYS: &[&str] = &["address", "key", "leafOnly", "roles"];
const GROUP_KEYS: &[&str] = &["group", "members"];
const JOIN_KEYS: &[&str] = &["address", "contacts", "group"];
const HEX: &str = "64 hexadecimal digits";

pub(super) fn groups(top: &Value<'_>) -> Result<Groups, Error> {
    let object = top.object(KEYS)?;
    object.warn_of_others();
    let epoch = object.need("epoch")?.whole(0, u64::MAX)?;
    let seed = object.some("seed").map(hash).transpose()?;
    let mut members = Vec::new();
    let mut places = Vec::new();
    for value in object.need("members")?.list()? {
        let listed = member(&value)?;
        places.push((listed.key, value));
        members.push(listed);
    }
    if members.len() > MEMBERS_MAX {
        let found = format_args!("{} members", members.len());
        return Err(top.refuse(found, format_args!("at most {MEMBERS_MAX}")));
    }
    places.sort_by_key(|(key, _)| *key);
    for pair in places.windows(2) {
        if let [(one, _), (two, again)] = pair
            && one == two
        {
            return Err(again.refuse("a member that is there already", "each member once"));
        }
    }
    members.sort_by_key(|listed: &Listed| listed.key);
    let mut read = Groups {
        epoch,
        seed,
        members,
        groups: Vec::new(),
        join: Vec::new(),
        warnings: Vec::new(),
    };
    if let Some(groups) = object.some("groups") {
        list(groups, &mut read)?;
    }
    if let Some(joins) = object.some("join") {
        for value in joins.list()? {
            let join = join(&value, &read)?;
            if read.join.iter().any(|known| known.group == join.group) {
                return Err(value.refuse("a group that is there already", "each group once"));
            }
            read.join.push(join);
        }
    }
    for (key, value) in &places {
        warn_of(&read, key, value);
    }
    Ok(read)
}

/// Warns of a member that cannot do what it is there for.
fn warn_of(read: &Groups, key: &MemberKey, value: &Value<'_>) {
    let Some(listed) = read.member(key) else {
        return;
    };
    let groups = read
        .groups
        .iter()
        .filter_map(|group| group.members.as_ref());
    let contacts = read.join.iter().flat_map(|join| &join.contacts);
    let named = groups.flatten().chain(contacts).any(|of| of == key);
    if listed.roles.is_empty() && !named {
        value.warn("has no role and is in no group");
    }
    if listed.address.is_none() && !listed.leaf_only {
        value.warn("has no address and is not `leafOnly`: whoever is to reach it goes without");
    }
}

fn member(value: &Value<'_>) -> Result<Listed, Error> {
    let object = value.object(MEMBER_KEYS)?;
    object.warn_of_others();
    let mut doing = BTreeSet::new();
    if let Some(list) = object.some("roles") {
        for value in list.list()? {
            let name = value.text("the name of a role")?;
            let role = role_from_name(&name).ok_or_else(|| {
                let all: Vec<&str> = roles().collect();
                match similar(&name, roles()) {
                    Some(near) => value.refuse_it(format_args!("a role; is {near} meant?")),
                    None => value.refuse_it(format_args!("one of {}", all.join(", "))),
                }
            })?;
            doing.insert(role);
        }
    }
    Ok(Listed {
        key: key(object.need("key")?)?,
        address: object.some("address").map(address).transpose()?,
        roles: doing,
        leaf_only: object.flag("leafOnly")?,
    })
}

/// Groups beside those of roles; what they are made of must be known.
fn list(groups: &Value<'_>, read: &mut Groups) -> Result<(), Error> {
    let groups = groups.list()?;
    if groups.len() > GROUPS_MAX {
        let first = groups.first();
        let found = format_args!("{} groups", groups.len());
        let allowed = format_args!("at most {GROUPS_MAX}");
        if let Some(first) = first {
            return Err(first.refuse(found, allowed));
        }
    }
    for value in groups {
        let object = value.object(GROUP_KEYS)?;
        object.warn_of_others();
        let at = object.need("group")?;
        let group = group(at)?;
        if is_known(&group, read) {
            return Err(at.refuse("a group that is there already", "each group once"));
        }
        let members = object.some("members");
        let members = match (&group, members) {
            (GroupId::Session(_) | GroupId::Custom(_), Some(list)) => {
                Some(those(list, read)?.into_iter().collect())
            }
            (GroupId::Session(_) | GroupId::Custom(_), None) => {
                return Err(value.refuse("no key `members`", "a list of keys of members"));
            }
            (_, Some(list)) => {
                let allowed = "no `members`: they follow from those of other groups";
                return Err(list.refuse_it(allowed));
            }
            (_, None) => {
                if !has_parts(&group, read) {
                    let allowed = "a group made of groups that are known";
                    return Err(at.refuse_it(allowed));
                }
                None
            }
        };
        read.groups.push(Group { group, members });
    }
    Ok(())
}

fn is_known(group: &GroupId, read: &Groups) -> bool {
    let plain = matches!(group, GroupId::AllStaked | GroupId::Role(_));
    let built_in = [audience::others(), audience::archive()].contains(group);
    plain || built_in || read.groups.iter().any(|known| known.group == *group)
}

fn has_parts(group: &GroupId, read: &Groups) -> bool {
    let (GroupId::Union(both) | GroupId::Minus(both)) = group else {
        return is_known(group, read);
    };
    is_known(group, read) || (has_parts(&both.0, read) && has_parts(&both.1, read))
}

fn join(value: &Value<'_>, read: &Groups) -> Result<Join, Error> {
    let object = value.object(JOIN_KEYS)?;
    object.warn_of_others();
    let at = object.need("group")?;
    let group = group(at)?;
    if !matches!(group, GroupId::Custom(_) | GroupId::Session(_)) {
        return Err(at.refuse_it("custom:HEX or session:HEX: others have a ledger"));
    }
    if is_known(&group, read) {
        return Err(at.refuse_it("a group whose members are not listed"));
    }
    let contacts = match object.some("contacts") {
        Some(list) => those(list, read)?,
        None => Vec::new(),
    };
    if contacts.len() > CONTACTS_MAX {
        let found = format_args!("{} contacts", contacts.len());
        return Err(value.refuse(found, format_args!("at most {CONTACTS_MAX}")));
    }
    Ok(Join {
        group,
        contacts,
        address: object.some("address").map(address).transpose()?,
    })
}

/// Keys of members that are listed.
fn those(list: &Value<'_>, read: &Groups) -> Result<Vec<MemberKey>, Error> {
    let mut keys = Vec::new();
    for value in list.list()? {
        let key = key(&value)?;
        if read.member(&key).is_none() {
            return Err(value.refuse_it("the key of one of `members`"));
        }
        if keys.contains(&key) {
            return Err(value.refuse("a member that is there already", "each member once"));
        }
        keys.push(key);
    }
    Ok(keys)
}

fn key(value: &Value<'_>) -> Result<MemberKey, Error> {
    let text = value.text(HEX)?;
    key_from_hex(&text).ok_or_else(|| value.refuse_it(HEX))
}

fn hash(value: &Value<'_>) -> Result<Hash32, Error> {
    let text = value.text(HEX)?;
    hash_from_hex(&text).ok_or_else(|| value.refuse_it(HEX))
}

fn address(value: &Value<'_>) -> Result<SocketAddr, Error> {
    const WANTED: &str = "IP:PORT, or [IPV6]:PORT, of a node that can be dialled";
    let text = value.text(WANTED)?;
    let address: Option<SocketAddr> = text.parse().ok();
    let fits = |address: &SocketAddr| address.port() > 0 && !address.ip().is_unspecified();
    address.filter(fits).ok_or_else(|| value.refuse_it(WANTED))
}

fn group(value: &Value<'_>) -> Result<GroupId, Error> {
    let text = value.text(ALLOWED)?;
    from_name(&text).ok_or_else(|| value.refuse_it(ALLOWED))
}
