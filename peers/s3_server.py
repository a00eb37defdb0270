"""An S3 server on a free loopback port with one empty bucket, named `bucket`. Prints its address and serves until it is ended.

One request at a time: moto looks whether an object is there and stores it in two steps, where S3 does it in one. A client that stands
still in the middle of its request is let go, so that the others go on.
"""

import threading
import urllib.request

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server


class Handler(WSGIRequestHandler):
    timeout = 2


application = DomainDispatcherApplication(create_backend_app)
server = make_server("127.0.0.1", 0, application, threaded=False, request_handler=Handler)
serving = threading.Thread(target=server.serve_forever)
serving.start()
address = f"http://127.0.0.1:{server.port}"
urllib.request.urlopen(urllib.request.Request(f"{address}/bucket", method="PUT")).close()
print(address, flush=True)
serving.join()
