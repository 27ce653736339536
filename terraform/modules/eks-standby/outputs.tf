output "place" {
  description = "The node group as a region of a component `kind: eks`."
  value       = { cluster = aws_eks_cluster.this.name, node_group = aws_eks_node_group.this.node_group_name }
}

output "arns" {
  description = "ARNs of cluster and node group, for the policy of Pilotlight."
  value       = [aws_eks_cluster.this.arn, aws_eks_node_group.this.arn]
}
