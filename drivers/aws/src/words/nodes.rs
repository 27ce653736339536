//! What a look at a managed node group of EKS means, and the sizes to ask for.

/// Least, most and wanted number of nodes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// It is never smaller by itself.
    pub least: u32,
    /// It is never larger by itself.
    pub most: u32,
    /// What it is to have now.
    pub wanted: u32,
}

/// A node group as its region's API shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeGroup {
    /// ARN.
    pub arn: String,
    /// Its state, for example `ACTIVE`.
    pub status: String,
    /// Its sizes.
    pub sizes: Sizes,
    /// Name of the Auto Scaling group that holds its instances.
    pub scaled_by: Option<String>,
    /// What EKS says is wrong with it.
    pub issues: Vec<String>,
}

impl NodeGroup {
    /// The sizes to ask for. It may grow and shrink between least and most by itself, so least is what is asked for. `most`
    /// is the plan's; without it the group keeps its own where that is enough. AWS takes no group that may have no node.
    /// Where the traffic is (`active`) more may run by now, and stays.
    pub fn sizes_for(&self, nodes: u32, most: Option<u32>, active: bool) -> Sizes {
        let wanted = if active { self.sizes.wanted.max(nodes) } else { nodes };
        Sizes { least: nodes, most: most.unwrap_or(self.sizes.most).max(wanted).max(1), wanted }
    }

    /// Nothing is being changed: another change would be taken.
    pub fn is_settled(&self) -> bool {
        matches!(self.status.as_str(), "ACTIVE" | "DEGRADED")
    }

    /// It cannot become what it is asked for without a person.
    pub fn is_lost(&self) -> bool {
        matches!(self.status.as_str(), "DELETING" | "DELETE_FAILED" | "CREATE_FAILED")
    }

    /// EKS says by itself that something is wrong.
    pub fn is_degraded(&self) -> bool {
        self.status == "DEGRADED"
    }

    /// What is wrong, in one line.
    pub fn why(&self) -> String {
        if self.issues.is_empty() { "no reason is given".to_owned() } else { self.issues.join("; ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(status: &str, most: u32) -> NodeGroup {
        let sizes = Sizes { least: 1, most, wanted: 1 };
        NodeGroup { status: status.to_owned(), sizes, ..NodeGroup::default() }
    }

    #[test]
    fn the_most_is_the_plans_or_its_own_and_never_too_small() {
        let group = group("ACTIVE", 3);
        assert_eq!(group.sizes_for(8, Some(20), true), Sizes { least: 8, most: 20, wanted: 8 });
        assert_eq!(group.sizes_for(8, None, true), Sizes { least: 8, most: 8, wanted: 8 });
        assert_eq!(group.sizes_for(2, None, false), Sizes { least: 2, most: 3, wanted: 2 });
        assert_eq!(group.sizes_for(0, Some(0), false), Sizes { least: 0, most: 1, wanted: 0 });
    }

    #[test]
    fn what_runs_more_where_the_traffic_is_stays() {
        let mut busy = group("ACTIVE", 12);
        busy.sizes.wanted = 9;
        assert_eq!(busy.sizes_for(4, Some(20), true), Sizes { least: 4, most: 20, wanted: 9 });
        assert_eq!(busy.sizes_for(4, Some(8), true), Sizes { least: 4, most: 9, wanted: 9 });
        assert_eq!(busy.sizes_for(1, Some(3), false), Sizes { least: 1, most: 3, wanted: 1 });
    }

    #[test]
    fn words_of_eks_are_read() {
        for (status, settled, lost) in [
            ("ACTIVE", true, false),
            ("DEGRADED", true, false),
            ("UPDATING", false, false),
            ("CREATING", false, false),
            ("DELETING", false, true),
            ("CREATE_FAILED", false, true),
        ] {
            let group = group(status, 3);
            assert_eq!((group.is_settled(), group.is_lost()), (settled, lost), "{status}");
        }
        assert_eq!(group("DEGRADED", 3).why(), "no reason is given");
    }
}
