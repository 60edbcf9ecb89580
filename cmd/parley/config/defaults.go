package config

import (
	"time"

	"parley/protocol"
)

// Where a node is and listens if nothing else is said.
const (
	DefaultName   = "localhost"
	DefaultData   = "parley-data"
	DefaultListen = "127.0.0.1:6060"
	DefaultAdmin  = "127.0.0.1:6061"
)

// Default is a whole working configuration. Limits are those of node.Limits.
func Default() Config {
	return Config{
		Node:       Node{Data: DefaultData, MinFree: 64 << 20},
		HTTP:       HTTP{Listen: DefaultListen, APIKeys: []string{protocol.DefaultAPIKey}},
		S2S:        S2S{Find: true, Reach: "auto"},
		Reputation: Reputation{Ask: true, Answer: true},
		Admin:      Admin{Listen: DefaultAdmin},
		Accounts: Accounts{
			TokenLifetime: Duration{14 * day},
			CodeLifetime:  Duration{day},
			ResetLifetime: Duration{time.Hour},
		},
		Email:  Email{SMTPTLS: "starttls"},
		Tel:    Tel{Country: "US"},
		Calls:  Calls{Timeout: Duration{30 * time.Second}},
		Files:  defaultFiles(),
		Limits: defaultLimits(),
		Log:    Log{Level: "info", Format: "text"},
	}
}

func defaultFiles() Files {
	return Files{
		MaxSize:      32 << 20,
		Quota:        4 << 30,
		Rate:         1,
		Burst:        200,
		GuestMaxSize: 512 << 10,
		GuestQuota:   256 << 20,
		GuestRate:    0.01,
		GuestBurst:   10,
		KeepUnused:   Duration{time.Hour},
		Cache:        1 << 30,
	}
}

func defaultLimits() Limits {
	return Limits{
		MaxMessage:         128 << 10,
		MaxSubscribers:     512,
		MaxTags:            16,
		MaxHistory:         100,
		MaxSubscriptions:   2000,
		SendQueue:          4 << 20,
		TopicQueue:         256,
		SessionRate:        200,
		SessionBurst:       1000,
		UserBytes:          1 << 20,
		LoginRate:          0.2,
		LoginBurst:         10,
		SignupRate:         1,
		SignupBurst:        100,
		MaxSessions:        100_000,
		SessionsPerAddress: 10_000,
		TopicIdle:          Duration{2 * time.Minute},
	}
}
