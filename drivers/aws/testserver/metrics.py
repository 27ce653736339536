"""CloudWatch beyond moto: the lag of copies is published when it is asked for."""


def install():
    pass
