//! Groups of structured gossip: the file of `samanea run --groups`, `samanea groups` and
//! `samanea publish`.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use clap::Args;
use comfy_table::{CellAlignment, Table};
use samanea_core::{base::MemberKey, node::Command, rain::View};
use samanea_std::{
    gossip::Voice,
    topology::groups::{self, Change, Groups, Join, diff, to_name},
};
use tracing::{error, info, warn};

use super::{Failure, office, plan, say};
use crate::{
    control::{Answer, PAYLOAD_BYTES_MAX, Request},
    groups::{GroupRow, hex_of},
    rules::MemberEras,
};

/// A file of groups as a node runs with it.
#[derive(Clone, Debug)]
pub(super) struct Told {
    file: PathBuf,
    groups: Groups,
    views: Vec<View>,
    /// Views that the node has: of a group whose members changed in one epoch, the older.
    known: Vec<View>,
}

impl Told {
    /// Reads the file, if one is given.
    pub(super) fn load(file: Option<&Path>) -> Result<Option<Self>, Failure> {
        let Some(file) = file else {
            return Ok(None);
        };
        let (groups, views) =
            read(file).map_err(|error| Failure::input(format!("--groups: {error}")))?;
        Ok(Some(Self {
            file: file.to_owned(),
            known: views.clone(),
            groups,
            views,
        }))
    }

    pub(super) fn log_warnings(&self) {
        plan::log_warnings(&self.groups.warnings);
    }

    /// What the node is told at the start.
    pub(super) fn all(&self, me: &MemberKey, own: Option<SocketAddr>) -> Vec<Command> {
        let listed = self.groups.members.iter().filter(|of| of.key != *me);
        let mut commands: Vec<Command> = listed
            .filter_map(|of| {
                let (key, addr) = (of.key, Some(of.address?));
                Some(Command::Member { key, addr })
            })
            .collect();
        commands.extend(self.views.iter().cloned().map(told));
        let joins = self.groups.join.iter();
        commands.extend(joins.map(|join| joined(join, own)));
        commands
    }

    /// Reads the file again and logs the difference: what the node is told of it. A file with
    /// errors changes nothing.
    pub(super) fn reload(&mut self, me: &MemberKey, own: Option<SocketAddr>) -> Vec<Command> {
        let (groups, views) = match read(&self.file) {
            Ok(read) => read,
            Err(why) => {
                error!("groups not changed: {why}");
                return Vec::new();
            }
        };
        plan::log_warnings(&groups.warnings);
        let changes = diff((&self.groups, &self.known), (&groups, &views));
        let mut commands = Vec::new();
        for change in &changes {
            if matches!(change, Change::GroupStuck(_)) {
                error!("{change}");
            } else {
                info!("{change}");
            }
            let told = order(change, me, own, &groups);
            commands.extend(told);
        }
        // Where members live comes first, then who is in which group.
        for view in &views {
            let known = self.known.iter_mut().find(|of| of.group() == view.group());
            match known {
                Some(known) if known.epoch() >= view.epoch() => {}
                Some(known) => {
                    *known = view.clone();
                    commands.push(told(view.clone()));
                }
                None => {
                    self.known.push(view.clone());
                    commands.push(told(view.clone()));
                }
            }
        }
        let still = |known: &View| views.iter().any(|view| view.group() == known.group());
        self.known.retain(still);
        info!(changes = changes.len(), "groups read again");
        (self.groups, self.views) = (groups, views);
        commands
    }

    /// Prints what the node would be told.
    pub(super) fn tell(&self, me: Option<&MemberKey>) {
        let mut table = plan::table(&["group", "epoch", "members", "this node"]);
        for view in &self.views {
            let place = match me {
                None => "no --gossip-key",
                Some(me) if view.seat(me).is_some() => "member",
                Some(_) => "",
            };
            table.add_row([
                to_name(view.group()),
                view.epoch().to_string(),
                view.members().to_string(),
                place.into(),
            ]);
        }
        for join in &self.groups.join {
            table.add_row([
                to_name(&join.group),
                String::from("none"),
                format!("{} contacts", join.contacts.len()),
                String::from("joins"),
            ]);
        }
        right(&mut table, &[1, 2]);
        say(format_args!("\ngroups of {}\n{table}", self.file.display()));
        let mut table = plan::table(&["member", "lives at", "does"]);
        for listed in &self.groups.members {
            let address = listed.address.map_or_else(|| "–".into(), |a| a.to_string());
            let own = me.is_some_and(|me| *me == listed.key);
            let roles = listed.roles.iter().copied();
            let roles = roles.map(|role| to_name(&samanea_core::base::GroupId::Role(role)));
            let mut does: Vec<String> = roles.collect();
            if listed.leaf_only {
                does.push("leaf only".into());
            }
            if own {
                does.push("this node".into());
            }
            table.add_row([listed.key.to_string(), address, does.join(", ")]);
        }
        say(format_args!("\nmembers\n{table}"));
        for warning in &self.groups.warnings {
            say(format_args!("  {warning}"));
        }
    }

    /// Whether this member is in no group at all.
    pub(super) fn warn_of_stranger(&self, me: &MemberKey) {
        let listed = self.groups.member(me).is_some();
        if !listed && self.groups.join.is_empty() {
            warn!(
                "{}: this node is no member of any group",
                self.file.display()
            );
        }
    }
}

fn read(file: &Path) -> Result<(Groups, Vec<View>), String> {
    let groups = groups::load(file).map_err(|error| error.to_string())?;
    let views = groups.views(&MemberEras(Voice::mute()));
    let views = views.map_err(|error| format!("{}: {error}", file.display()))?;
    Ok((groups, views))
}

fn told(view: View) -> Command {
    let expires = None;
    Command::View { view, expires }
}

fn joined(join: &Join, own: Option<SocketAddr>) -> Command {
    let address = join.address.or(own);
    let address = address.map_or_else(Bytes::new, |address| address.to_string().into());
    Command::JoinGroup {
        group: join.group.clone(),
        address,
        contacts: join.contacts.clone(),
    }
}

/// What a node is told of a change, but for views.
fn order(
    change: &Change,
    me: &MemberKey,
    own: Option<SocketAddr>,
    groups: &Groups,
) -> Vec<Command> {
    match change {
        Change::MemberAdded(listed) if listed.key != *me => {
            let (key, addr) = (listed.key, listed.address);
            addr.map(|_| Command::Member { key, addr })
                .into_iter()
                .collect()
        }
        Change::MemberMoved { key, address } if key != me => {
            let (key, addr) = (*key, *address);
            vec![Command::Member { key, addr }]
        }
        Change::MemberRemoved(key) => {
            let (key, addr) = (*key, None);
            vec![Command::Member { key, addr }]
        }
        Change::GroupRemoved(group) => vec![Command::Forget(group.clone())],
        Change::Left(group) => vec![Command::LeaveGroup(group.clone())],
        Change::Joined(join) => {
            // Joined otherwise than before: joined anew.
            let leave = Command::LeaveGroup(join.group.clone());
            let again = groups.join.iter().any(|of| of.group == join.group);
            let leave = again.then_some(leave);
            leave.into_iter().chain([joined(join, own)]).collect()
        }
        _ => Vec::new(),
    }
}

/// Of `samanea groups`.
#[derive(Clone, Debug, Args)]
pub(super) struct Shown {
    #[command(flatten)]
    node: office::Node,
    /// Print JSON, a line for each group
    #[arg(long)]
    json: bool,
}

/// Of `samanea publish`.
#[derive(Clone, Debug, Args)]
pub(super) struct Publish {
    /// What is published
    #[arg(
        value_name = "TEXT",
        required_unless_present = "file",
        conflicts_with = "file"
    )]
    text: Option<String>,
    /// Publish what is in this file instead
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// To whom: transactions, transactions-to-all, consensus, consensus:MILLISECONDS, block,
    /// block-to-archive, announcement, or a group as `samanea groups` names it
    #[arg(long, value_name = "AUDIENCE")]
    to: String,
    #[command(flatten)]
    node: office::Node,
}

pub(super) fn show(args: &Shown) -> Result<(), Failure> {
    let Answer::Groups(rows) = args.node.ask(&Request::Groups)? else {
        return Err(office::misled());
    };
    if args.json {
        for row in &rows {
            say(serde_json::to_string(row).map_err(Failure::run)?);
        }
    } else {
        say(table(&rows));
    }
    Ok(())
}

pub(super) fn publish(args: &Publish) -> Result<(), Failure> {
    if crate::groups::audience(&args.to).is_none() {
        return Err(Failure::input(format!("--to {}: no audience", args.to)));
    }
    let payload = match (&args.text, &args.file) {
        (Some(text), _) => text.clone().into_bytes(),
        (None, Some(file)) => fs::read(file)
            .map_err(|error| Failure::input(format!("--file {}: {error}", file.display())))?,
        (None, None) => Vec::new(),
    };
    if payload.len() > PAYLOAD_BYTES_MAX {
        let bytes = payload.len();
        return Err(Failure::input(format!(
            "{bytes} bytes: more than the {PAYLOAD_BYTES_MAX} that can be published here"
        )));
    }
    let request = Request::Publish {
        to: args.to.clone(),
        payload: hex_of(&payload),
    };
    let Answer::Published(id) = args.node.ask(&request)? else {
        return Err(office::misled());
    };
    say(id);
    Ok(())
}

fn table(rows: &[GroupRow]) -> Table {
    let mut table = plan::table(&[
        "group", "epoch", "members", "", "links", "wanted", "messages",
    ]);
    for row in rows {
        table.add_row([
            row.group.clone(),
            row.epoch.to_string(),
            row.members.to_string(),
            if row.member { "member" } else { "" }.into(),
            row.linked.to_string(),
            row.wanted.to_string(),
            row.held.to_string(),
        ]);
    }
    right(&mut table, &[1, 2, 4, 5, 6]);
    table
}

fn right(table: &mut Table, columns: &[usize]) {
    for (at, column) in table.column_iter_mut().enumerate() {
        if columns.contains(&at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}
