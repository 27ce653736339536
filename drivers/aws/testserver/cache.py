"""ElastiCache beyond moto: global replication groups. Their rows are kept like those of databases."""


STORE = None


def install():
    pass
