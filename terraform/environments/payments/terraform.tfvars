# An example: every value in it is yours to change.
name           = "payments"
primary_region = "us-east-1"
standby_region = "us-west-2"
objectives     = { rto_seconds = 14400, rpo_seconds = 900 }
database       = { instance_class = "db.r6g.large", instances = { primary = 2, standby = 1 } }
networks = {
  primary = {
    subnet_ids    = ["subnet-0a", "subnet-0b"]
    database      = { subnet_group = "data", security_group_ids = ["sg-0d"] }
    cache         = { subnet_group = "cache", security_group_ids = ["sg-0c"] }
    load_balancer = { name = "us-east-1.lb.example.com", zone = "Z0LB" }
  }
  standby = {
    subnet_ids    = ["subnet-1a", "subnet-1b"]
    database      = { subnet_group = "data", security_group_ids = ["sg-1d"] }
    cache         = { subnet_group = "cache", security_group_ids = ["sg-1c"] }
    load_balancer = { name = "us-west-2.lb.example.com", zone = "Z1LB" }
  }
}
primary_nodes   = { cluster = "payments", node_group = "payments-general", active = 8, max = 20 }
nodes           = { min = 1, max = 3, desired = 1 }
zone_id         = "Z0000000000EXAMPLE"
domain          = "pay.example.com"
bucket_suffix   = "123456789012"
repositories    = ["payments"]
controller_arns = ["arn:aws:iam::123456789012:role/controller"]
mail            = ["on-call@example.com"]
tags            = { application = "payments", backup = "payments" }
