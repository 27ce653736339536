# An example: every value in it is yours to change.
name           = "portfolio"
primary_region = "us-east-1"
standby_region = "us-west-2"
objectives     = { rto_seconds = 900, rpo_seconds = 3600 }
database       = { instance_class = "db.r6g.large", instances = { primary = 2, standby = 1 } }
networks = {
  primary = {
    subnet_ids         = ["subnet-0a", "subnet-0b"]
    security_group_ids = ["sg-0a"]
    database           = { subnet_group = "data", security_group_ids = ["sg-0d"] }
    load_balancer      = { name = "us-east-1.lb.example.com", zone = "Z0LB" }
  }
  standby = {
    subnet_ids         = ["subnet-1a", "subnet-1b"]
    security_group_ids = ["sg-1a"]
    database           = { subnet_group = "data", security_group_ids = ["sg-1d"] }
    load_balancer      = { name = "us-west-2.lb.example.com", zone = "Z1LB" }
  }
}
zone_id = "Z0000000000EXAMPLE"
domain  = "portfolio.example.com"
services = {
  portfolio = {
    active  = 4
    standby = 1
    images = {
      primary = "123456789012.dkr.ecr.us-east-1.amazonaws.com/portfolio:1"
      standby = "123456789012.dkr.ecr.us-west-2.amazonaws.com/portfolio:1"
    }
    target_groups = {
      primary = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/portfolio/0"
      standby = "arn:aws:elasticloadbalancing:us-west-2:123456789012:targetgroup/portfolio/1"
    }
  }
}
execution_role_arn = "arn:aws:iam::123456789012:role/pull"
controller_arns    = ["arn:aws:iam::123456789012:role/controller"]
mail               = ["on-call@example.com"]
tags               = { application = "portfolio", backup = "portfolio" }
