package httpd

import (
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"parley/protocol"
)

type metrics struct {
	requests   *prometheus.CounterVec
	latency    *prometheus.HistogramVec
	uploaded   prometheus.Counter
	downloaded prometheus.Counter
	polls      prometheus.Gauge
}

func newMetrics(reg *prometheus.Registry) *metrics {
	// Whoever made the registry may have done this already.
	_ = reg.Register(collectors.NewGoCollector())
	_ = reg.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	f := promauto.With(reg)
	return &metrics{
		requests: f.NewCounterVec(prometheus.CounterOpts{Name: "parley_http_requests_total", Help: "HTTP requests."}, []string{"route", "status"}),
		latency: f.NewHistogramVec(prometheus.HistogramOpts{Name: "parley_http_request_seconds", Help: "From the header of an HTTP request to the end of its answer.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 8)}, []string{"route"}),
		uploaded:   f.NewCounter(prometheus.CounterOpts{Name: "parley_http_upload_bytes_total", Help: "Bytes of files stored."}),
		downloaded: f.NewCounter(prometheus.CounterOpts{Name: "parley_http_download_bytes_total", Help: "Bytes sent in answers about files."}),
		polls:      f.NewGauge(prometheus.GaugeOpts{Name: "parley_http_long_polls", Help: "Sessions over long polling."}),
	}
}

// observe counts, times and logs requests, by route: paths hold ids of files, and
// queries hold tokens. It is where every request enters.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.enter() {
			w.Header().Set("Connection", "close")
			refuse(w, protocol.Busy)
			return
		}
		defer s.wg.Done()
		start := time.Now()
		timeout(w, requestTimeout)
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(rec, r)
		took := time.Since(start)
		s.metrics.requests.WithLabelValues(r.Pattern, strconv.Itoa(rec.status)).Inc()
		s.metrics.latency.WithLabelValues(r.Pattern).Observe(took.Seconds())
		level := slog.LevelDebug
		if rec.status >= http.StatusInternalServerError {
			level = slog.LevelWarn
		}
		s.log.Log(r.Context(), level, "http", "method", r.Method, "route", r.Pattern, "status", rec.status,
			"bytes", rec.bytes, "ms", took.Milliseconds(), "addr", s.clientAddr(r))
	})
}

// timeout sets when a request must have been read and answered, instead of any
// earlier limit.
func timeout(w http.ResponseWriter, d time.Duration) {
	rc := http.NewResponseController(w)
	end := time.Now().Add(d)
	_ = rc.SetReadDeadline(end) // tests' recorders have no deadlines
	_ = rc.SetWriteDeadline(end)
}

// recorder notes how a request was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader implements [http.ResponseWriter].
func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (r *recorder) Write(p []byte) (int, error) {
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}

// ReadFrom lets the kernel copy files to the socket.
func (r *recorder) ReadFrom(src io.Reader) (int64, error) {
	n, err := io.Copy(r.ResponseWriter, src)
	r.bytes += n
	return n, err
}

// Unwrap is for [http.ResponseController].
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
